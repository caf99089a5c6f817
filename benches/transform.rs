//! What the transforms cost for each byte, beside what they are held against: `str::to_uppercase`, and a bare
//! shuffle of the same bytes with the same generator.
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

/// One action on one text, which is put back before each round outside of the time that counts.
fn bench_action(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, action: Action, text: &str) {
    let mut out = vec![0; action.answer_bound(text.len(), 4 * text.len())];
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
    targets = linear, small, shuffle
}
criterion_main!(benches);
