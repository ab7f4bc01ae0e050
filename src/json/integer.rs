//! The integer types of fields.

/// An integer type that [`super::Decoder::integer`] can read.
pub trait Integer {
    /// The minimum and the maximum.
    const RANGE: (i64, u64);
    /// Truncates a number within the range, in two's complement.
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
