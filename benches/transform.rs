//! What the transforms cost for each byte, beside what they are held against: `str::to_uppercase`, and a bare
//! shuffle of the same bytes with the same generator. Groups `inline` and `preprocess` give the longest times that they take on
//! the event loop: none may be much longer than half a millisecond.
//!
//! `cargo bench --bench transform`, or with the name of a group behind `--`.
#![allow(missing_docs, reason = "the macro of criterion makes a public function")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use retortd::transform::{Action, RandomSource};

const MIB: usize = 1 << 20;

const ENGLISH: &str = "The quick brown fox jumps over the lazy dog, and then it does so again. ";
const MIXED: &str = "Le cœur déçu mais l'âme plutôt naïve; Příliš žluťoučký kůň. Съешь же ещё этих мягких французских булок, \
                     да выпей чаю. 視野無限廣，窗外有藍天。いろはにほへと ちりぬるを。The quick brown fox. ";
const GERMAN: &str = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, und die Straße ist naß. ";
const GREEK: &str = "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· ΤΑΧΙΣΤΗ ΑΛΩΠΗΞ ΒΑΦΗΣ. ";

/// Scripts of which each is converted in its own way: the first two by windows, the others one code point after another.
const SCRIPTS: [(&str, &str); 11] = [
    ("vietnamese", "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi. "),
    ("russian", "Съешь же ещё этих мягких французских булок, да выпей чаю. "),
    ("polytonic", "Ἄνδρα μοι ἔννεπε, Μοῦσα, πολύτροπον, ὃς μάλα πολλὰ πλάγχθη, ἐπεὶ Τροίης ἱερὸν πτολίεθρον. "),
    ("armenian", "Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ ու իրավունքներով։ "),
    ("georgian", "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით. "),
    ("cherokee", "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ꭰꭱꭲꭳ ᎤᎾᏓᏁᏟᏴᏍᏗ. "),
    ("coptic", "ⲣⲱⲙⲉ ⲛⲓⲙ ⲉⲩϫⲡⲟ ⲙⲙⲟⲟⲩ ⲛⲉⲗⲉⲩⲑⲉⲣⲟⲥ ⲀⲂⲄⲆ "),
    ("glagolitic", "ⰲⱐⱄⰹ ⰱⱁ ⰾⱓⰴⱐⰵ ⱃⱁⰴⱔⱅⱏ ⱄⱔ ⰔⰂⰑⰁⰑⰄⱐⱀⰹ "),
    ("full-width", "ｆｕｌｌ ｗｉｄｔｈ ＣＡＰＩＴＡＬＳ "),
    ("deseret", "𐐂𐑊 𐐸𐐷𐐭𐑋𐐲𐑌 𐐺𐐨𐐮𐑍𐑆 𐐪𐑉 𐐺𐐫𐑉𐑌 𐑁𐑉𐐨 "),
    ("adlam", "𞤋𞤲𞥆𞤢𞤥𞤢 𞤢𞤣𞤮𞤼𞤵𞤲 𞤬𞤮𞤼 "),
];

/// What code points a text of [`unruly`] has: of each width, with and without case, that grow and that look around.
const UNRULY: &str = "a.é ßაΐ漢𐐨😀ЖΣ\u{301}ŉǅ";

/// The generator of the daemon, through the interface of the library.
struct Generator(fastrand::Rng);

impl RandomSource for Generator {
    fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    fn unit(&mut self) -> f64 {
        self.0.f64()
    }
}

/// About so many bytes of a phrase again and again.
fn text(phrase: &str, length: usize) -> String {
    phrase.repeat(length / phrase.len())
}

/// Code points in an order that no branch prediction and no window can make use of.
fn unruly(length: usize) -> String {
    let code_points: Vec<char> = UNRULY.chars().collect();
    let mut generator = fastrand::Rng::with_seed(3);
    let mut text = String::with_capacity(length);
    while text.len() + 4 <= length {
        text.push(code_points[generator.usize(..code_points.len())]);
    }
    text
}

/// Texts of that length that are each the worst for some action: code points that grow, that are converted one by one,
/// that are beyond the windows now and then, and sigmas that look at what is around them.
fn worst(length: usize) -> Vec<(&'static str, String)> {
    let repeated = [
        ("ascii", ENGLISH.to_string()),
        ("growing", "ΐ".to_string()),
        ("one by one", "ա".to_string()),
        ("in and out", format!("{}ა", "a".repeat(16))),
        ("alternating", "aßაΐ漢𐐨éЖИ".to_string()),
        ("sigmas", "Σ".to_string()),
        ("sigmas and full stops", format!("aΣ{}Σ ", ".".repeat(500))),
        ("four bytes", "𐐨".to_string()),
        ("german", GERMAN.to_string()),
    ];
    let texts = repeated.into_iter().map(|(name, phrase)| (name, text(&phrase, length)));
    texts.chain([("unruly", unruly(length))]).collect()
}

/// One action on one text, which is put back before each round outside of the time that counts.
fn bench_action(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, action: Action, text: &str) {
    let mut out = vec![0; action.max_output_len(text.len(), 4 * text.len())];
    let mut generator = Generator(fastrand::Rng::with_seed(1));
    let mut bytes = text.as_bytes().to_vec();
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function(format!("{}/{name}", action.name()), |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    bytes.copy_from_slice(text.as_bytes());
                    let start = Instant::now();
                    let placed = action.apply(black_box(&mut bytes), &mut out, &mut generator, 4 * text.len());
                    let elapsed = start.elapsed();
                    black_box(placed).expect("text is UTF-8");
                    elapsed
                })
                .sum()
        });
    });
}

fn linear(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1MiB");
    let texts = [("ascii", ENGLISH), ("mixed", MIXED), ("german", GERMAN), ("greek", GREEK)];
    for (name, phrase) in texts {
        let text = text(phrase, MIB);
        for action in [Action::Uppercase, Action::Lowercase, Action::TitleCase, Action::Reverse, Action::Random] {
            bench_action(&mut group, name, action, &text);
        }
        group.bench_function(format!("str::to_uppercase/{name}"), |bencher| {
            bencher.iter(|| black_box(&text).to_uppercase());
        });
    }
    group.finish();
}

fn scripts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scripts");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    for (name, phrase) in SCRIPTS {
        for action in [Action::Uppercase, Action::Lowercase] {
            bench_action(&mut group, name, action, &text(phrase, MIB));
        }
    }
    group.finish();
}

/// The longest messages that are transformed on the event loop, as `protocol::message` limits them.
fn inline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inline");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    for action in Action::ALL {
        let (ascii, other) = if action.is_light() { (MIB, 64 * 1024) } else { (64 * 1024, 16 * 1024) };
        for (name, text) in worst(other) {
            bench_action(&mut group, name, action, &text);
        }
        if action.ascii_in_place() {
            bench_action(&mut group, "longest ascii", action, &text(ENGLISH, ascii));
        }
    }
    group.finish();
}

/// One piece of a message that is prepared on the event loop, with the bound of `protocol::message`.
fn preprocess(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preprocess");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    for action in [Action::Uppercase, Action::Lowercase] {
        for (name, text) in worst(128 * 1024) {
            let mut bytes = text.as_bytes().to_vec();
            group.bench_function(format!("{}/{name}", action.name()), |bencher| {
                bencher.iter_custom(|rounds| {
                    let timed = (0..rounds).map(|_| {
                        bytes.copy_from_slice(text.as_bytes());
                        let start = Instant::now();
                        black_box(action.preprocess(black_box(&mut bytes), 0, 16 * 1024));
                        start.elapsed()
                    });
                    timed.sum()
                });
            });
        }
    }
    group.finish();
}

fn small(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("64B");
    for (name, phrase) in [("ascii", ENGLISH), ("mixed", "naïve déjà-vu: Съешь же ещё этих булок, 視野無限。")]
    {
        let text = text(phrase, 64.max(phrase.len()));
        for action in [Action::Uppercase, Action::Lowercase, Action::TitleCase, Action::Reverse, Action::Shuffle] {
            bench_action(&mut group, name, action, &text);
        }
    }
    group.finish();
}

fn shuffle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("16MiB");
    group.sample_size(10);
    let ascii = text(ENGLISH, 16 * MIB);
    group.throughput(Throughput::Bytes(ascii.len() as u64));
    let mut generator = fastrand::Rng::with_seed(1);
    group.bench_function("bare Fisher-Yates", |bencher| {
        let bytes = || ascii.clone().into_bytes();
        bencher.iter_batched_ref(
            bytes,
            |bytes| {
                for last in (1..bytes.len()).rev() {
                    bytes.swap(last, generator.usize(..=last));
                }
            },
            BatchSize::LargeInput,
        );
    });
    bench_action(&mut group, "ascii", Action::Shuffle, &ascii);
    bench_action(&mut group, "mixed", Action::Shuffle, &text(MIXED, 16 * MIB));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = linear, scripts, small, shuffle, inline, preprocess
}
criterion_main!(benches);
