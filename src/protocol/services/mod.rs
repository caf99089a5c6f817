//! The protocols, one file each: descriptor, client side, server side.

pub mod ack;
pub mod chargen;
pub mod daytime;
pub mod discard;
pub mod echo;
pub mod echo_prefix;
pub mod frame;
pub mod frame_2021;
pub mod length_prefix;
pub mod qotd;
pub mod record;
pub mod respond;
pub mod text;
pub mod time;
pub mod upper;
pub mod upper_line;
pub mod who;
