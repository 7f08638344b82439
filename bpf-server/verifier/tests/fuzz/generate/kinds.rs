//! The kinds of programs that are made as a whole: without loops, with more passes than can be counted, of records that go between
//! functions, of halves, of distances.
use super::*;

/// Branches over some of what follows, which overlap, and no loop.
pub(super) fn straight(w: &mut Writer) {
    let mut open: Vec<(usize, u64)> = Vec::new();
    for k in 0..5 + w.r.below(10) {
        if w.r.one_in(2) {
            w.compare(0);
            open.push((w.code.len() - 1, k + w.r.below(5)));
        }
        w.kind = w.r.pick(&[0, 1, 2, 4, 4, 5, 5, 6]);
        if w.r.one_in(3) {
            w.memory()
        } else {
            w.one()
        }
        let here = w.code.len();
        open.retain(|(at, until)| {
            w.code[*at].off = (here - at - 1) as i16;
            *until > k
        });
    }
}

pub(super) fn lookup(w: &mut Writer, to: u8, key: i32) {
    w.emit(0x62, 10, 0, -32, key);
    w.emit(0xbf, 2, 10, 0, 0);
    w.emit(0x07, 2, 0, 0, -32);
    w.emit(0x18, 1, 1, 0, 0);
    w.emit(0, 0, 0, 0, 0);
    w.emit(0x85, 0, 0, 0, 1);
    w.emit(0x55, 0, 0, 2, 0);
    w.emit(0xb7, 0, 0, 0, 0);
    w.emit(0x95, 0, 0, 0, 0);
    w.emit(0xbf, to, 0, 0, 0);
}

/// Loops in loops whose worst cases together have more than 64 bits.
pub(super) fn nested(w: &mut Writer) {
    for r in 1..5 {
        w.emit(0xb7, r, 0, 0, 0);
    }
    let first = w.code.len();
    for r in (1..5).rev() {
        w.emit(0x07, r, 0, 0, 1);
        let at = w.code.len();
        let end = w.r.pick(&[3, 900_000, 1 << 20, 1 << 16, 1 << 30]);
        // Counters of the loops inside are set again.
        let to = first - (4 - r as usize);
        w.emit(0xa5, r, 0, (to as i64 - at as i64 - 1) as i16, end);
    }
    w.emit(0xb7, 0, 0, 0, 0);
    w.emit(0x95, 0, 0, 0, 0);
}

/// Records that go from function to function: one reserves, one gives back what it is given, or hands it on, and may reserve again.
pub(super) fn records(w: &mut Writer) {
    let (mut reserves, mut exchanges, mut outs) = (vec![], vec![], vec![]);
    let call = |w: &mut Writer, calls: &mut Vec<usize>| {
        calls.push(w.code.len());
        w.emit(0x85, 0, 1, 0, 0);
    };
    let unless_null = |w: &mut Writer, outs: &mut Vec<usize>| {
        outs.push(w.code.len());
        w.emit(0x15, 0, 0, 0, 0);
    };
    w.emit(0xbf, 9, 1, 0, 0);
    call(w, &mut reserves);
    unless_null(w, &mut outs);
    w.emit(0xbf, 6, 0, 0, 0);
    for _ in 0..w.r.below(3) {
        if w.r.one_in(3) {
            // Kept on the stack meanwhile.
            w.emit(0x7b, 10, 6, -8, 0);
        }
        w.emit(0xbf, 1, 6, 0, 0);
        call(w, &mut exchanges);
        unless_null(w, &mut outs);
        if !w.r.one_in(4) {
            w.emit(0xbf, 6, 0, 0, 0);
        }
        if w.r.one_in(3) {
            let d = w.r.pick(&[0, 6]);
            w.emit(0x79, d, 10, -8, 0);
        }
    }
    let d = w.r.pick(&[0, 6, 6]);
    let op = w.r.pick(&[0x7a, 0x72]);
    let off = w.r.below(9) as i16;
    w.emit(op, d, 0, off, 1);
    w.emit(0xbf, 1, d, 0, 0);
    w.emit(0xb7, 2, 0, 0, 0);
    let back = w.r.pick(&[132, 133]);
    w.emit(0x85, 0, 0, 0, back);
    let out = w.code.len();
    w.emit(0xb7, 0, 0, 0, 0);
    w.emit(0x95, 0, 0, 0, 0);
    let exchange = w.code.len();
    match w.r.below(4) {
        0 => w.emit(0xbf, 0, 1, 0, 0),
        what => {
            w.emit(0xb7, 2, 0, 0, 0);
            w.emit(0x85, 0, 0, 0, back);
            match what {
                1 => w.emit(0xb7, 0, 0, 0, 0),
                _ => call(w, &mut reserves),
            }
        }
    }
    w.emit(0x95, 0, 0, 0, 0);
    let reserve = w.code.len();
    w.map(1);
    w.emit(0xb7, 2, 0, 0, 8);
    w.emit(0xb7, 3, 0, 0, 0);
    w.emit(0x85, 0, 0, 0, 131);
    w.emit(0x95, 0, 0, 0, 0);
    for (calls, function) in [(reserves, reserve), (exchanges, exchange)] {
        for at in calls {
            w.code[at].imm = (function - at) as i32 - 1;
        }
    }
    for at in outs {
        w.code[at].off = (out - at) as i16 - 1;
    }
}

/// A number with something in either half.
pub(super) fn two_halves(w: &mut Writer, d: u8) {
    let small = w.r.imm();
    match w.r.below(8) {
        0 => {
            let (low, high) = (w.r.next() as i32 >> w.r.below(32), w.r.imm());
            w.emit(0x18, d, 0, 0, low);
            w.emit(0, 0, 0, 0, high);
        }
        1 => {
            let by = w.r.pick(&[31, 32, 33, 40, 62]);
            w.emit(0xb7, d, 0, 0, 1);
            w.emit(0x67, d, 0, 0, by);
        }
        2 | 3 => {
            let off = w.r.pick(&[0, 8]);
            w.emit(0x79, d, 9, off, 0);
        }
        4 => w.emit(0x61, d, 9, 4, 0),
        _ => w.emit(0xb7, d, 0, 0, small),
    }
}

/// Numbers whose halves are told apart, copied and kept on the stack, beside an address that is moved by them; and code that no
/// run comes to.
pub(super) fn mixed(w: &mut Writer) {
    w.emit(0xbf, 9, 1, 0, 0);
    let mut outs = Vec::new();
    let record = w.r.one_in(2);
    if record {
        w.map(1);
        w.emit(0xb7, 2, 0, 0, 16);
        w.emit(0xb7, 3, 0, 0, 0);
        w.emit(0x85, 0, 0, 0, 131);
        outs.push(w.code.len());
        w.emit(0x15, 0, 0, 0, 0);
        w.emit(0xbf, 8, 0, 0, 0);
    } else {
        lookup(w, 8, 0);
    }
    for d in 1..6 {
        two_halves(w, d);
    }
    w.emit(0xbf, 7, 8, 0, 0);
    if w.r.one_in(2) {
        let s = w.r.below(5) as u8 + 1;
        w.emit(0x0f, 7, s, 0, 0);
    }
    let (head, n) = (w.code.len(), 3 + w.r.below(8));
    for _ in 0..n {
        let (d, s) = (w.r.below(5) as u8 + 1, w.r.below(5) as u8 + 1);
        let slot = w.r.pick(&[-8, -16]);
        match w.r.below(12) {
            0 => w.emit(0xbf, d, s, 0, 0),
            1 => w.emit(0xbc, d, s, 0, 0),
            2 => {
                let op = w.r.pick(&[0x7b, 0x63]);
                w.emit(op, 10, s, slot, 0);
            }
            3 if w.code.iter().any(|i| i.op == 0x7b && i.off == slot) => w.emit(0x79, d, 10, slot, 0),
            4 => {
                let (op, by) = w.r.pick(&[(0x77, 1), (0x77, 31), (0x74, 1), (0x67, 1), (0x64, 1), (0xc7, 1)]);
                w.emit(op, d, 0, 0, by);
            }
            5 | 6 => {
                w.compare(1);
                w.arithmetic();
            }
            7 => two_halves(w, d),
            8 => w.emit(0x72, 8, 0, 3, 1),
            9 | 10 => {
                // A number is one of two.
                let (off, bit) = (16 + w.r.below(8) as i16, 1 << w.r.below(3));
                w.emit(0x71, 0, 9, off, 0);
                let at = w.code.len();
                w.emit(0x45, 0, 0, 0, bit);
                two_halves(w, d);
                w.arithmetic();
                let over = w.code.len();
                w.emit(0x05, 0, 0, 0, 0);
                w.code[at].off = (over - at) as i16;
                two_halves(w, d);
                w.arithmetic();
                w.code[over].off = (w.code.len() - over) as i16 - 1;
            }
            _ => w.arithmetic(),
        }
    }
    if w.r.one_in(4) {
        let (c, op) = w.r.pick(&[(0x77, 0x55), (0x74, 0x56), (0x07, 0x55)]);
        w.emit(c, 4, 0, 0, if c == 0x07 { -1 } else { 1 });
        let at = w.code.len();
        w.emit(op, 4, 0, (head as i64 - at as i64 - 1) as i16, 0);
    }
    if record {
        w.emit(0xbf, 1, 8, 0, 0);
        w.emit(0xb7, 2, 0, 0, 0);
        w.emit(0x85, 0, 0, 0, 132);
    }
    let out = w.code.len();
    for at in outs {
        w.code[at].off = (out - at) as i16 - 1;
    }
    w.emit(0xb7, 0, 0, 0, 0);
    w.emit(0x95, 0, 0, 0, 0);
    if w.r.one_in(2) {
        w.emit(0xb7, 2, 0, 0, 0);
        for _ in 0..w.r.below(3) {
            w.arithmetic();
        }
        if w.r.one_in(2) {
            w.emit(0x85, 0, 0, 0, 132);
        }
        w.emit(0xb7, 0, 0, 0, 0);
        w.emit(0x95, 0, 0, 0, 0);
    }
}

/// Two numbers, or two addresses, that are a certain way apart on each of two ways, and a third that says how far; perhaps they
/// approach each other until they meet.
pub(super) fn apart(w: &mut Writer) {
    w.emit(0xbf, 9, 1, 0, 0);
    lookup(w, 6, 0);
    w.emit(0xbf, 7, 6, 0, 0);
    let (far, by) = (w.r.below(16) as i32, w.r.below(8) as i32);
    w.emit(0x07, 7, 0, 0, far);
    for d in [3, 4, 5, 8] {
        two_halves(w, d);
    }
    w.emit(0x61, 0, 9, 0, 0);
    w.emit(0xb7, 1, 0, 0, far + by);
    w.emit(0xb7, 2, 0, 0, by);
    w.emit(0xb7, 3, 0, 0, far);
    if w.r.one_in(2) {
        // On one way, one of them is moved.
        w.emit(0x15, 0, 0, 2, 0);
        let d = w.r.pick(&[1, 2]);
        w.emit(0x07, d, 0, 0, 1);
        w.emit(0x07, 3, 0, 0, if d == 1 { 1 } else { -1 });
    }
    let head = w.code.len();
    for _ in 0..1 + w.r.below(6) {
        match w.r.below(8) {
            0 => {
                let imm = w.r.below(9) as i32 - 4;
                let d = w.r.pick(&[1, 2, 6, 7]);
                w.emit(0x07, d, 0, 0, imm);
            }
            1 => {
                let op = w.r.pick(&[0x1d, 0x5d, 0x1e, 0x5e]);
                let (a, b) = w.r.pick(&[(1, 2), (2, 1), (6, 7), (7, 6)]);
                w.emit(op, a, b, 1, 0);
                w.arithmetic();
            }
            2 => {
                let imm = w.r.below(9) as i32;
                let op = w.r.pick(&[0x15, 0x55, 0x25, 0xa5]);
                w.emit(op, 3, 0, 1, imm);
                w.arithmetic();
            }
            3 => w.emit(0x72, 6, 0, 0, 1),
            4 => {
                let s = w.r.pick(&[1, 2, 4]);
                let d = w.r.pick(&[1, 2, 4]);
                let op = w.r.pick(&[0x0f, 0x1f, 0x0c, 0xbf]);
                w.emit(op, d, s, 0, 0);
            }
            _ => w.arithmetic(),
        }
    }
    if w.r.one_in(2) {
        let (a, b) = w.r.pick(&[(6, 7), (2, 1)]);
        w.emit(0x07, a, 0, 0, 1);
        let at = w.code.len();
        w.emit(0x5d, a, b, (head as i64 - at as i64 - 1) as i16, 0);
    }
    w.emit(0xb7, 0, 0, 0, 0);
    w.emit(0x95, 0, 0, 0, 0);
}
