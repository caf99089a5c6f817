"""Texts whose letters have cases, by script; all were written for this."""

from typing import NamedTuple


class Script(NamedTuple):
    """A sentence, and how many times the CPU time of ASCII its upper and lower case may take at most.

    Chosen: Vietnamese and Greek can be mapped 64 bytes at a time; the others may take as long as letter by letter.
    """

    sentence: str
    most: float


TEXTS = {
    "Vietnamese": Script("Tôi thấy một người đứng ở giữa đường, và ngẫm nghĩ về những điều đã được kể lại từ xưa. ", 3),
    "Greek": Script("Το πρωί ο Γιώργος πήγε στην αγορά και πήρε ψωμί, ελιές και τυρί για όλους τους φίλους. ", 4),
    "polytonic Greek": Script("Ὁ δὲ ἄνθρωπος ἐκεῖνος ἦλθεν εἰς τὴν ἀγοράν, καὶ εἶπε τοῖς φίλοις ἃ ἤκουσεν. ", 4),
    "Georgian": Script("დილით გიორგი ბაზარში წავიდა და პური, ყველი და ხილი იყიდა. ", 8),
    "Armenian": Script("Առավոտյան Արամը գնաց շուկա, գնեց հաց, պանիր ու միրգ. ", 8),
    "Cherokee": Script("ꭳꮟᏺ, ꮳꮃꭹ ꭶꮼꮒꭿꮝꮧ ꮷꮎꮣꮑꮈꭹ ꭰꮄ ꭳꮝꮣ ꭲꭶ. ", 8),
    "Deseret": Script("𐐜𐐲 𐐿𐐰𐐻 𐑅𐐰𐐻 𐐱𐑌 𐑄𐐲 𐑋𐐰𐐻, 𐐰𐑌𐐼 𐐿𐐲𐑋 𐐲𐐶𐐩. ", 8),
    "Cyrillic": Script("Утром Юрий пошёл на рынок и купил хлеб, сыр и яблоки для всех своих друзей. ", 8),
    "accented Latin": Script("Après-midi, l'élève français mangeait très tôt; Øystein og Åse spiste blåbærgrøt. ", 8),
    "Turkish": Script("Ilık bir sabahta İzmir'de Ayşe çarşıya gidip ekmek, peynir ve üzüm aldı. ", 8),
    "mixed": Script("Le café, кофе и чай; 朝のコーヒー, καφές, and an old tale. ", 8),
    "changing lengths": Script("Die große Straße, ﬁn ﬂott ŉ dag; ⱥ ⱦ ɐ ɫ ı ſ: ẞ Ⱥ Ⱦ İ. ", 8),
    "digraphs": Script("Ǆep ǅep ǆep, ǇUBAV ǈubav ǉubav, Ǌiva ǋiva ǌiva. ", 8),
}
