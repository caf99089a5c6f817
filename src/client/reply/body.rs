//! Receivers of the body of a reply: the interface, and the two simplest implementations.

/// A receiver of the bodies of replies.
pub trait ReplyBody {
    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// The bytes differ from the expected content.
    fn push(&mut self, part: &[u8]) -> Result<(), WrongContent>;

    /// The body is complete; the next [`push`](Self::push) begins another one.
    ///
    /// # Errors
    /// The content is shorter than expected.
    fn finish(&mut self) -> Result<(), WrongContent>;
}

/// The body is not one of a correct reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongContent;

/// A body that is not kept.
#[derive(Clone, Copy, Debug)]
pub struct DiscardBody;

impl ReplyBody for Vec<u8> {
    fn push(&mut self, part: &[u8]) -> Result<(), WrongContent> {
        self.extend_from_slice(part);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), WrongContent> {
        Ok(())
    }
}

impl ReplyBody for DiscardBody {
    fn push(&mut self, _part: &[u8]) -> Result<(), WrongContent> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), WrongContent> {
        Ok(())
    }
}
