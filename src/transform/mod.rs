//! Pure text functions: no I/O, no clock, no allocation that grows with the text.
//!
//! Text is UTF-8 in a byte slice. What keeps its length is changed in place; what may change it is written to a
//! second slice that the caller sizes by [`Action::answer_bound`]. The random source is passed in.

/// Where random numbers come from; the server passes its own, tests a scripted one.
pub trait RandomSource {
    /// A uniform number in `0..bound`, without bias; `bound` is not 0.
    fn below(&mut self, bound: usize) -> usize;
    /// A uniform number in `[0, 1)`.
    fn unit(&mut self) -> f64;
}

/// What can be done to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Full Unicode upper case (`ß` becomes `SS`).
    Uppercase,
    /// Full Unicode lower case, with the final sigma.
    Lowercase,
    /// Python's `str.title()`.
    TitleCase,
    /// Code points in the opposite order.
    Reverse,
    /// A uniform permutation of the code points.
    Shuffle,
    /// Code points dropped and repeated at random.
    Random,
}

/// Where [`Action::apply`] left its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The text itself is the answer, with its length unchanged.
    InPlace,
    /// The first so many bytes of `out` are the answer.
    Out(usize),
}

/// The bytes are not valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Uppercase, Self::Lowercase, Self::TitleCase, Self::Reverse, Self::Shuffle, Self::Random];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uppercase => "uppercase",
            Self::Lowercase => "lowercase",
            Self::TitleCase => "title-case",
            Self::Reverse => "reverse",
            Self::Shuffle => "shuffle",
            Self::Random => "random",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether ASCII text is its own room.
    #[must_use]
    pub fn ascii_in_place(self) -> bool {
        self != Self::Random
    }

    /// Whether it is light work.
    #[must_use]
    pub fn is_light(self) -> bool {
        !matches!(self, Self::Shuffle | Self::Random)
    }

    /// Changes ASCII text in place.
    pub fn apply_ascii(self, text: &mut [u8], random: &mut impl RandomSource) {
        match self {
            Self::Uppercase => text.make_ascii_uppercase(),
            Self::Lowercase => text.make_ascii_lowercase(),
            Self::TitleCase => {
                let mut inside = false;
                for byte in text {
                    *byte = if inside { byte.to_ascii_lowercase() } else { byte.to_ascii_uppercase() };
                    inside = byte.is_ascii_alphabetic();
                }
            }
            Self::Reverse => text.reverse(),
            Self::Shuffle => {
                for i in (1..text.len()).rev() {
                    text.swap(i, random.below(i + 1));
                }
            }
            Self::Random => unreachable!("not in place"),
        }
    }

    /// The room that `out` must have.
    #[must_use]
    pub fn answer_bound(self, length: usize, limit: usize) -> usize {
        match self {
            Self::Random => limit,
            Self::Reverse | Self::Shuffle => 0,
            _ => length.saturating_mul(3),
        }
    }

    /// Changes any text.
    pub fn apply(
        self,
        text: &mut [u8],
        out: &mut [u8],
        random: &mut impl RandomSource,
        limit: usize,
    ) -> Result<Placed, InvalidUtf8> {
        let string = std::str::from_utf8(text).map_err(|_| InvalidUtf8)?;
        let answer = match self {
            Self::Uppercase => string.to_uppercase(),
            Self::Lowercase => string.to_lowercase(),
            Self::TitleCase => string.to_uppercase(),
            Self::Reverse => {
                let reversed: String = string.chars().rev().collect();
                text.copy_from_slice(reversed.as_bytes());
                return Ok(Placed::InPlace);
            }
            Self::Shuffle => {
                let mut chars: Vec<char> = string.chars().collect();
                for i in (1..chars.len()).rev() {
                    chars.swap(i, random.below(i + 1));
                }
                let shuffled: String = chars.into_iter().collect();
                text.copy_from_slice(shuffled.as_bytes());
                return Ok(Placed::InPlace);
            }
            Self::Random => randomise(string, random, limit),
        };
        out[..answer.len()].copy_from_slice(answer.as_bytes());
        Ok(Placed::Out(answer.len()))
    }
}

fn randomise(text: &str, random: &mut impl RandomSource, limit: usize) -> String {
    let mut answer = String::new();
    for each in text.chars() {
        let count = match random.below(6) {
            0 => 0,
            _ if random.below(6) == 0 => (1.0 / (1.0 - random.unit())) as usize,
            _ => 1,
        };
        for _ in 0..count {
            if answer.len() + each.len_utf8() > limit {
                return answer;
            }
            answer.push(each);
        }
    }
    if answer.is_empty() {
        answer.extend(text.chars().next());
    }
    answer
}
