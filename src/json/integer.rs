//! The integers that a field can have.

/// The integers that a field can have.
pub trait Integer {
    /// The least and the greatest.
    const RANGE: (i64, u64);
    /// Out of the low bits of a number within the range.
    fn cut(value: u64) -> Self;
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl Integer for $kind {
            const RANGE: (i64, u64) = (<$kind>::MIN as i64, <$kind>::MAX as u64);
            #[inline(always)]
            fn cut(value: u64) -> Self {
                value as $kind
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i32, i64);
