//! System call numbers (MCS). They are negative; anything else is an unknown system call.

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: i64 = $value;)*
    };
}

numbers! {
    /// Send and wait for the answer on a fresh reply capability.
    CALL = -1;
    /// Answer, then receive.
    REPLY_RECV = -2;
    /// Send if somebody waits, then receive.
    NB_SEND_RECV = -3;
    /// Send if somebody waits, then wait without a reply object.
    NB_SEND_WAIT = -4;
    /// Send, blocking.
    SEND = -5;
    /// Send if somebody waits.
    NB_SEND = -6;
    /// Receive with a reply object.
    RECV = -7;
    /// Receive if somebody sends.
    NB_RECV = -8;
    /// Wait without a reply object.
    WAIT = -9;
    /// Poll without a reply object.
    NB_WAIT = -10;
    /// Give the rest of the budget up.
    YIELD = -11;
    /// Print a character on the kernel's debug UART.
    DEBUG_PUT_CHAR = -12;
    /// Print the scheduler's state.
    DEBUG_DUMP_SCHEDULER = -13;
    /// Stop the machine.
    DEBUG_HALT = -14;
    /// Tell what kind of capability is at a slot.
    DEBUG_CAP_IDENTIFY = -15;
    /// Print a snapshot.
    DEBUG_SNAPSHOT = -16;
    /// Name a thread.
    DEBUG_NAME_THREAD = -17;
    /// Set the caller's own TLS base.
    SET_TLS_BASE = -33;
}
