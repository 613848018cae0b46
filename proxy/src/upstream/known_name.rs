//! Names of fields, compared with those that mean something here.

/// Whether these are the same letters, large or small. The length is known when this is compiled, which makes of it a few
/// instructions in place of a dozen for each letter.
pub(super) fn is<const N: usize>(word: &[u8], known: &[u8; N]) -> bool {
    <[u8; N]>::try_from(word).is_ok_and(|mut word| {
        word.make_ascii_lowercase();
        word == *known
    })
}
