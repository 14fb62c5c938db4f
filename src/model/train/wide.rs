//! Wide: plain loops, compiled again for the wider registers that a processor turns out to have.

/// Declares functions whose loops the compiler turns into vector instructions, each three times: for
/// AVX-512, for AVX2 and for whatever the target always has. All do the same operations in the same
/// order, so they give the same bits.
macro_rules! wide {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block)*) => {
        $(
            $(#[$doc])*
            #[allow(unsafe_code)] // Calling the twins that need instructions beyond the target's own.
            #[allow(clippy::too_many_arguments)]
            $vis fn $name($($arg: $kind),*) $(-> $out)? {
                #[inline(always)]
                fn plain($($arg: $kind),*) $(-> $out)? $body
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                    fn avx512($($arg: $kind),*) $(-> $out)? {
                        plain($($arg),*)
                    }
                    #[target_feature(enable = "avx2")]
                    fn avx2($($arg: $kind),*) $(-> $out)? {
                        plain($($arg),*)
                    }
                    if is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512dq")
                        && is_x86_feature_detected!("avx512bw")
                    {
                        // SAFETY: the processor has all that `avx512` enables; it was just asked.
                        return unsafe { avx512($($arg),*) };
                    }
                    if is_x86_feature_detected!("avx2") {
                        // SAFETY: the processor has all that `avx2` enables; it was just asked.
                        return unsafe { avx2($($arg),*) };
                    }
                }
                plain($($arg),*)
            }
        )*
    };
}

pub(crate) use wide;
