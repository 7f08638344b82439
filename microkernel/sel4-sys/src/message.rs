//! Message information words and the IPC buffer.
use crate::Word;

/// Words of a message at most.
pub const MAX_LENGTH: usize = 120;
/// Capabilities of a message at most.
pub const MAX_EXTRA_CAPS: usize = 3;
/// Message registers that travel in machine registers, on every architecture.
pub const FAST_REGISTERS: usize = 4;

/// The tag of a message (`seL4_MessageInfo`): label, capsUnwrapped, extraCaps, length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct MessageInfo(pub Word);

impl MessageInfo {
    /// A tag from its fields; each is cut to its width.
    pub const fn new(label: Word, caps_unwrapped: Word, extra_caps: Word, length: Word) -> MessageInfo {
        MessageInfo(label << 12 | (caps_unwrapped & 7) << 9 | (extra_caps & 3) << 7 | (length & 127))
    }
    /// What the message means: an invocation, an error, a fault, or the user's own.
    pub const fn label(self) -> Word {
        self.0 >> 12
    }
    /// One bit per received capability that was unwrapped to its badge.
    pub const fn caps_unwrapped(self) -> Word {
        self.0 >> 9 & 7
    }
    /// Capabilities that travel, or travelled.
    pub const fn extra_caps(self) -> usize {
        (self.0 >> 7 & 3) as usize
    }
    /// The same message without capabilities, those that travel as well as those that arrived.
    pub const fn without_caps(self) -> MessageInfo {
        MessageInfo(self.0 & !0xf80)
    }
    /// Words of the message. Values above [`MAX_LENGTH`] count as that.
    pub const fn length(self) -> usize {
        (self.0 & 127) as usize
    }
}

/// The IPC buffer (`seL4_IPCBuffer`), 1 KiB, at the end of or anywhere aligned within a frame.
#[derive(Debug)]
#[repr(C, align(1024))]
pub struct IpcBuffer {
    /// Not written by the kernel in register-passing architectures.
    pub tag: MessageInfo,
    /// The message registers.
    pub msg: [Word; MAX_LENGTH],
    /// The user's own.
    pub user_data: Word,
    /// Outgoing: capability pointers. Incoming: badges of unwrapped capabilities.
    pub caps_or_badges: [Word; MAX_EXTRA_CAPS],
    /// The CNode in which received capabilities land.
    pub receive_cnode: Word,
    /// The slot there.
    pub receive_index: Word,
    /// The depth at which that slot is resolved.
    pub receive_depth: Word,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let info = MessageInfo::new(0xabc, 5, 2, 120);
        assert_eq!(
            (info.label(), info.caps_unwrapped(), info.extra_caps(), info.length()),
            (0xabc, 5, 2, 120)
        );
        assert_eq!(MessageInfo::new(0, 8, 4, 128), MessageInfo(0));
        assert_eq!(info.without_caps(), MessageInfo::new(0xabc, 0, 0, 120));
        assert_eq!(MessageInfo(u64::MAX).without_caps(), MessageInfo::new(u64::MAX, 0, 0, 127));
    }

    #[test]
    fn the_buffer_is_libsel4s() {
        assert_eq!(size_of::<IpcBuffer>(), 1024);
        assert_eq!(core::mem::offset_of!(IpcBuffer, user_data), 121 * 8);
        assert_eq!(core::mem::offset_of!(IpcBuffer, receive_depth), 127 * 8);
    }
}
