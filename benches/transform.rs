//! Time per byte of the transforms, compared with `str::to_uppercase` and with a bare Fisher-Yates shuffle of as many
//! bytes by the same generator. Groups `inline` and `preprocess` measure the longest calls on the event loop: none may
//! take much more than half a millisecond.
//!
//! `cargo bench --bench transform`, or `cargo bench --bench transform -- GROUP`.
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

/// Scripts with different paths through the code: the first three are converted by windows, in the next three some
/// letters of a window are mapped one by one, and the others are converted by code point.
const SCRIPTS: [(&str, &str); 15] = [
    ("vietnamese", "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi. "),
    ("russian", "Съешь же ещё этих мягких французских булок, да выпей чаю. "),
    ("greek", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· τάχιστη αλώπηξ βαφής ψημένη γη. "),
    ("turkish", "Ilık bir sabahta İzmir'de Ayşe çarşıya gidip ekmek, peynir ve üzüm aldı. "),
    ("greek capitals", GREEK),
    ("polytonic", "Ἄνδρα μοι ἔννεπε, Μοῦσα, πολύτροπον, ὃς μάλα πολλὰ πλάγχθη, ἐπεὶ Τροίης ἱερὸν πτολίεθρον. "),
    ("changing lengths", "Die große Straße, ﬁn ﬂott ŉ dag; ⱥ ⱦ ɐ ɫ ı ſ: ẞ Ⱥ Ⱦ İ, Ǆep ǅep ǆep. "),
    ("armenian", "Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ ու իրավունքներով։ "),
    ("georgian", "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით. "),
    ("cherokee", "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ꭰꭱꭲꭳ ᎤᎾᏓᏁᏟᏴᏍᏗ. "),
    ("coptic", "ⲣⲱⲙⲉ ⲛⲓⲙ ⲉⲩϫⲡⲟ ⲙⲙⲟⲟⲩ ⲛⲉⲗⲉⲩⲑⲉⲣⲟⲥ ⲀⲂⲄⲆ "),
    ("glagolitic", "ⰲⱐⱄⰹ ⰱⱁ ⰾⱓⰴⱐⰵ ⱃⱁⰴⱔⱅⱏ ⱄⱔ ⰔⰂⰑⰁⰑⰄⱐⱀⰹ "),
    ("full-width", "ｆｕｌｌ ｗｉｄｔｈ ＣＡＰＩＴＡＬＳ "),
    ("deseret", "𐐂𐑊 𐐸𐐷𐐭𐑋𐐲𐑌 𐐺𐐨𐐮𐑍𐑆 𐐪𐑉 𐐺𐐫𐑉𐑌 𐑁𐑉𐐨 "),
    ("adlam", "𞤋𞤲𞥆𞤢𞤥𞤢 𞤢𞤣𞤮𞤼𞤵𞤲 𞤬𞤮𞤼 "),
];

/// The code points of [`random_text`]: of each length in bytes, with and without case, that grow, and that depend on
/// context.
const RANDOM_TEXT: &str = "a.é ßაΐ漢𐐨😀ЖΣ\u{301}ŉǅ";

/// The generator that the daemon uses.
struct Generator(fastrand::Rng);

impl RandomSource for Generator {
    fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    fn unit(&mut self) -> f64 {
        self.0.f64()
    }
}

/// A repeated phrase, of at most `length` bytes.
fn text(phrase: &str, length: usize) -> String {
    phrase.repeat(length / phrase.len())
}

/// Code points in random order, which defeats branch prediction and windows.
fn random_text(length: usize) -> String {
    let code_points: Vec<char> = RANDOM_TEXT.chars().collect();
    let mut generator = fastrand::Rng::with_seed(3);
    let mut text = String::with_capacity(length);
    while text.len() + 4 <= length {
        text.push(code_points[generator.usize(..code_points.len())]);
    }
    text
}

/// Texts of at most `length` bytes, each of them the worst case of some action: code points that grow, that need scalar
/// conversion, always or now and then, and sigmas, whose context is scanned.
fn worst_cases(length: usize) -> Vec<(&'static str, String)> {
    let repeated = [
        ("ascii", ENGLISH.to_string()),
        ("growing", "ΐ".to_string()),
        ("scalar", "ա".to_string()),
        ("alternating windows and scalar", format!("{}ა", "a".repeat(16))),
        ("as many unsupported letters as a window may have", format!("{}ŉŉŉ", "a".repeat(26))),
        ("mixed lengths", "aßაΐ漢𐐨éЖИ".to_string()),
        ("sigmas", "Σ".to_string()),
        ("sigmas and full stops", format!("aΣ{}Σ ", ".".repeat(500))),
        ("four bytes", "𐐨".to_string()),
        ("german", GERMAN.to_string()),
    ];
    let texts = repeated.into_iter().map(|(name, phrase)| (name, text(&phrase, length)));
    texts.chain([("random order", random_text(length))]).collect()
}

/// Measures an action on a text, which is restored before each round, outside the measured time.
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

/// The longest messages that are transformed on the event loop, by the limits of the framed protocols (`InlineLimits`).
fn inline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inline");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    for action in Action::ALL {
        let (ascii, other) = if action.is_light() { (MIB, 64 * 1024) } else { (64 * 1024, 16 * 1024) };
        for (name, text) in worst_cases(other) {
            bench_action(&mut group, name, action, &text);
        }
        if action.ascii_in_place() {
            bench_action(&mut group, "longest ascii", action, &text(ENGLISH, ascii));
        }
    }
    group.finish();
}

/// One piece of a message that is preprocessed on the event loop, with the scalar budget of the framed protocols.
fn preprocess(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preprocess");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    for action in [Action::Uppercase, Action::Lowercase] {
        for (name, text) in worst_cases(128 * 1024) {
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

/// ASCII around the length from which `reverse` uses CPU dispatch.
fn reverse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reverse");
    let mut generator = Generator(fastrand::Rng::with_seed(1));
    for length in [64, 128, 256, 512, 1024, 4096] {
        let mut bytes = vec![b'a'; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(length.to_string(), |bencher| {
            bencher.iter(|| Action::Reverse.apply_ascii(black_box(&mut bytes), &mut generator));
        });
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
    targets = linear, scripts, small, reverse, shuffle, inline, preprocess
}
criterion_main!(benches);
