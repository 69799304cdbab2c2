use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

fn key(text: &str) -> EffectKey {
    text.parse().unwrap()
}

#[test]
fn effects_are_held_by_one_call_at_a_time_and_forgotten_after() {
    let locks = EffectLocks::default();
    let mut context = Context::from_waker(Waker::noop());
    let (page, ticket) = (key("w/a/1/page"), key("w/a/1/ticket"));
    let covers = [ticket.clone()];
    let Poll::Ready(held) = pin!(locks.hold(&page, &covers)).poll(&mut context) else {
        unreachable!("nobody holds them")
    };
    {
        let mut second = pin!(locks.hold(&ticket, &[]));
        assert!(second.as_mut().poll(&mut context).is_pending());
        // It gives up waiting here.
    }
    assert_eq!(locks.locks().len(), 2, "the first holds both all the same");
    let mut third = pin!(locks.hold(&ticket, &[]));
    assert!(third.as_mut().poll(&mut context).is_pending());
    drop(held);
    let Poll::Ready(held) = third.as_mut().poll(&mut context) else {
        unreachable!("it was given back")
    };
    assert_eq!(locks.locks().keys().collect::<Vec<_>>(), [&ticket]);
    drop(held);
    assert!(locks.locks().is_empty());
}
