//! Choosing among upstreams: the less loaded of two drawn at random from the best there are. Pure.

use crate::stamps::Random;

/// What is known of a candidate before it is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// The lower, the rather: another load makes up for no rank.
    pub(crate) rank: u8,
    pub(crate) load: usize,
}

/// Draws two of the candidates of the lowest rank there is and answers the less loaded; `None` if there is no
/// candidate. Those without a standing are none.
pub(crate) fn choose<'a, T>(
    all: &'a [T],
    standing: impl Fn(&T) -> Option<Standing>,
    random: &Random,
) -> Option<&'a T> {
    let best = all
        .iter()
        .filter_map(|one| Some(standing(one)?.rank))
        .min()?;
    let mut candidates = all.iter().filter_map(|one| {
        let standing = standing(one)?;
        (standing.rank == best).then_some((one, standing.load))
    });
    let count = candidates.clone().count();
    let (first, second) = two_of(count, random);
    let (lower, upper) = (first.min(second), first.max(second));
    let one = candidates.nth(lower)?;
    let other = match upper - lower {
        0 => one,
        apart => candidates.nth(apart - 1)?,
    };
    let (one, other) = if first < second {
        (one, other)
    } else {
        (other, one)
    };
    Some(if other.1 < one.1 { other.0 } else { one.0 })
}

/// Two different numbers below `count`, in any order; the same twice if there is but one.
pub(crate) fn two_of(count: usize, random: &Random) -> (usize, usize) {
    let first = random.below(count);
    if count < 2 {
        return (first, first);
    }
    // An offset of 1..count from the first: never the same one twice.
    (first, (first + 1 + random.below(count - 1)) % count)
}

#[cfg(test)]
mod tests {
    use super::{Standing, choose, two_of};
    use crate::stamps::Random;
    use proptest::option;
    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

    fn candidates() -> impl Strategy<Value = Vec<Option<Standing>>> {
        let one = (0_u8..3, 0_usize..5).prop_map(|(rank, load)| Standing { rank, load });
        proptest::collection::vec(option::of(one), 0..12)
    }

    proptest! {
        #[test]
        fn one_is_chosen_whenever_there_is_one_and_it_is_of_the_best_rank(all in candidates()) {
            let random = Random::new();
            let chosen = choose(&all, |one| *one, &random);
            let best = all.iter().flatten().map(|one| one.rank).min();
            prop_assert_eq!(chosen.map(|one| one.unwrap().rank), best);
        }

        #[test]
        fn the_more_loaded_of_the_two_drawn_is_not_chosen(loads in proptest::collection::vec(0_usize..5, 2..12)) {
            let random = Random::new();
            let chosen = *choose(&loads, |load| Some(Standing { rank: 0, load: *load }), &random).unwrap();
            let more_loaded = loads.iter().filter(|load| **load >= chosen).count();
            prop_assert!(more_loaded >= 2, "{} of {:?}", chosen, loads);
        }

        #[test]
        fn two_numbers_differ_and_are_in_range(count in 2_usize..100) {
            let (first, second) = two_of(count, &Random::new());
            prop_assert!(first < count && second < count && first != second);
        }
    }

    #[test]
    fn equals_get_equal_shares() {
        let random = Random::new();
        let mut chosen = [0_u32; 4];
        for _ in 0..40_000 {
            let standing = |_: &usize| Some(Standing { rank: 0, load: 0 });
            let one = *choose(&[0_usize, 1, 2, 3], standing, &random).unwrap();
            chosen[one] += 1;
        }
        // Of 10,000 expected, 500 are more than five standard deviations.
        assert!(
            chosen.iter().all(|count| count.abs_diff(10_000) < 500),
            "{chosen:?}"
        );
    }
}
