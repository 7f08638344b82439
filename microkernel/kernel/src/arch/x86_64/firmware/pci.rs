//! Bus masters are switched off before memory is handed out: what firmware left on could go on writing into it.
use super::super::port::{inl, outl};

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const COMMAND: u32 = 0x04;
const HEADER: u32 = 0x0c;
const BUS_MASTER: u32 = 1 << 2;

fn select(place: u32, register: u32) {
    outl(ADDRESS, 1 << 31 | place << 8 | register);
}

fn read(place: u32, register: u32) -> u32 {
    select(place, register);
    inl(DATA)
}

/// What was found.
#[derive(Clone, Copy, Default)]
pub struct Functions {
    /// Functions of devices.
    pub found: u32,
    /// Those that were bus masters.
    pub masters: u32,
}

/// Switches the bus masters of all functions of all buses off. Buses are not walked through bridges: some roots are behind none.
pub fn stop_masters() -> Functions {
    let mut functions = Functions::default();
    for device in 0..256 * 32u32 {
        let place = device << 3;
        if read(place, 0) as u16 == u16::MAX {
            continue;
        }
        let several = read(place, HEADER) >> 16 & 0x80 != 0;
        for function in 0..if several { 8 } else { 1 } {
            let place = place | function;
            if read(place, 0) as u16 == u16::MAX {
                continue;
            }
            functions.found += 1;
            let command = read(place, COMMAND);
            if command & BUS_MASTER != 0 {
                functions.masters += 1;
                select(place, COMMAND);
                // The upper half is status: bits there are cleared by ones.
                outl(DATA, command & 0xffff & !BUS_MASTER);
            }
        }
    }
    functions
}
