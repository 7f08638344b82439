//! Helper numbers: Linux's, and Axiom's own from 0x1_0000.
#![allow(missing_docs)]

pub const MAP_LOOKUP_ELEM: u32 = 1;
pub const MAP_UPDATE_ELEM: u32 = 2;
pub const MAP_DELETE_ELEM: u32 = 3;
pub const KTIME_GET_NS: u32 = 5;
pub const TRACE_PRINTK: u32 = 6;
pub const GET_SMP_PROCESSOR_ID: u32 = 8;
pub const MAP_PUSH_ELEM: u32 = 87;
pub const MAP_POP_ELEM: u32 = 88;
pub const MAP_PEEK_ELEM: u32 = 89;
pub const RINGBUF_OUTPUT: u32 = 130;
pub const RINGBUF_RESERVE: u32 = 131;
pub const RINGBUF_SUBMIT: u32 = 132;
pub const RINGBUF_DISCARD: u32 = 133;
pub const RINGBUF_QUERY: u32 = 134;
pub const TRACE_VPRINTK: u32 = 177;
/// First of Axiom's own.
pub const OWN_FIRST: u32 = 0x1_0000;
/// `gpio_get(chip, line)`: 0 or 1.
pub const GPIO_GET: u32 = OWN_FIRST;
/// `gpio_set(chip, line, level)`.
pub const GPIO_SET: u32 = OWN_FIRST + 1;
/// `pwm_set(chip, channel, duty)`.
pub const PWM_SET: u32 = OWN_FIRST + 2;
/// `motor_emergency_stop()`.
pub const MOTOR_EMERGENCY_STOP: u32 = OWN_FIRST + 3;

/// What every hosting server serves.
pub const SERVED: [u32; 15] = [
    MAP_LOOKUP_ELEM,
    MAP_UPDATE_ELEM,
    MAP_DELETE_ELEM,
    KTIME_GET_NS,
    TRACE_PRINTK,
    GET_SMP_PROCESSOR_ID,
    MAP_PUSH_ELEM,
    MAP_POP_ELEM,
    MAP_PEEK_ELEM,
    RINGBUF_OUTPUT,
    RINGBUF_RESERVE,
    RINGBUF_SUBMIT,
    RINGBUF_DISCARD,
    RINGBUF_QUERY,
    TRACE_VPRINTK,
];

/// What the server of lines and PWM channels serves: its own, and all the others but the one that prints, because the console
/// may take its time and a limit switch must not wait for it.
pub const SERVED_WITH_PINS: [u32; 17] = [
    MAP_LOOKUP_ELEM,
    MAP_UPDATE_ELEM,
    MAP_DELETE_ELEM,
    KTIME_GET_NS,
    GET_SMP_PROCESSOR_ID,
    MAP_PUSH_ELEM,
    MAP_POP_ELEM,
    MAP_PEEK_ELEM,
    RINGBUF_OUTPUT,
    RINGBUF_RESERVE,
    RINGBUF_SUBMIT,
    RINGBUF_DISCARD,
    RINGBUF_QUERY,
    GPIO_GET,
    GPIO_SET,
    PWM_SET,
    MOTOR_EMERGENCY_STOP,
];
