//! The client sees no difference, however input and output are cut or interrupted.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use retortd::connection::{Budget, CloseReason};
use retortd::protocol::PROTOCOLS;

use crate::conversations::{io_results, serve, setting, stream_conversation};
use crate::scripted::{Driver, IoResult, ScriptedStream, check_sums, context};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies_do_not_depend_on_how_reads_and_writes_are_cut(
        (protocol, input) in stream_conversation(),
        reads in io_results(),
        writes in io_results(),
        setting in setting(),
    ) {
        let whole = serve(protocol, ScriptedStream::new(&input, &[], &[]), setting);
        let cut = serve(protocol, ScriptedStream::new(&input, &reads, &writes), setting);
        prop_assert_eq!(&cut.output, &whole.output);
        prop_assert_eq!((cut.reason, cut.refused), (whole.reason, whole.refused));
        if whole.reason == Some(CloseReason::Finished) || whole.reason == Some(CloseReason::Truncated) {
            prop_assert_eq!(whole.bytes_in, input.len() as u64, "the whole input was read");
            prop_assert_eq!(cut.bytes_in, whole.bytes_in);
        }
    }

    #[test]
    fn reset_at_any_call_only_truncates_the_replies(
        (protocol, input) in stream_conversation(),
        mut reads in io_results(),
        mut writes in io_results(),
        (is_in_reads, position) in (any::<bool>(), 0usize..60),
        setting in setting(),
    ) {
        let whole = serve(protocol, ScriptedStream::new(&input, &[], &[]), setting);
        let results = if is_in_reads { &mut reads } else { &mut writes };
        results.truncate(position);
        results.push(IoResult::Reset);
        let reset = serve(protocol, ScriptedStream::new(&input, &reads, &writes), setting);
        prop_assert!(whole.output.starts_with(&reset.output), "not a prefix of the replies without a reset");
    }

    #[test]
    fn any_input_to_any_protocol_keeps_the_sums_of_the_counters(
        protocol in select(PROTOCOLS.iter().map(|info| info.name).collect::<Vec<_>>()),
        input in vec(any::<u8>(), 0..5000),
        reads in io_results(),
        writes in io_results(),
    ) {
        let mut context = context(100_000, &Arc::new(Budget::new(1 << 20)), 1);
        context.counters.accepted.add(1);
        let mut driver = Driver::new(protocol, ScriptedStream::new(&input, &reads, &writes));
        if driver.run(&mut context, 1 << 20).is_some() {
            check_sums(&context);
        }
    }
}
