//! `delegate_io!`: reading and writing by what is inside, whichever variant or field that is.

/// Implements `AsyncRead` and `AsyncWrite` for an enum whose variants each hold one stream,
/// `delegate_io!(Enum { One, Other })`, or for a struct with a stream in a field,
/// `delegate_io!(Struct [field])`.
#[macro_export]
macro_rules! delegate_io {
    (@ref $self:ident [$field:ident] $stream:ident => $call:expr) => {{
        let $stream = &$self.$field;
        $call
    }};
    (@ref $self:ident { $($variant:ident),+ } $stream:ident => $call:expr) => {
        match $self { $(Self::$variant($stream) => $call,)+ }
    };
    (@pin $self:ident [$field:ident] $stream:ident => $call:expr) => {{
        let $stream = std::pin::Pin::new(&mut $self.get_mut().$field);
        $call
    }};
    (@pin $self:ident { $($variant:ident),+ } $stream:ident => $call:expr) => {
        match $self.get_mut() {
            $(Self::$variant($stream) => {
                let $stream = std::pin::Pin::new($stream);
                $call
            })+
        }
    };
    ($kind:ident $inside:tt) => {
        impl tokio::io::AsyncRead for $kind {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                $crate::delegate_io!(@pin self $inside stream => stream.poll_read(cx, buf))
            }
        }

        impl tokio::io::AsyncWrite for $kind {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::delegate_io!(@pin self $inside stream => stream.poll_write(cx, bytes))
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                // Most often there is one, and a plain write costs the kernel less.
                if let [only] = slices {
                    return self.poll_write(cx, only);
                }
                $crate::delegate_io!(@pin self $inside stream =>
                    stream.poll_write_vectored(cx, slices))
            }

            fn is_write_vectored(&self) -> bool {
                $crate::delegate_io!(@ref self $inside stream => stream.is_write_vectored())
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                $crate::delegate_io!(@pin self $inside stream => stream.poll_flush(cx))
            }

            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                $crate::delegate_io!(@pin self $inside stream => stream.poll_shutdown(cx))
            }
        }
    };
}
