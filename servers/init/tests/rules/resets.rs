//! Functions' resets: each way, step by step, and in a server's life.
use crate::board::{Board, COMMAND, Function, MASTER, MEMORY, SPACE, function, place};
use crate::machine::device;
use axiom_init::pci::reset::{Lost, Next, Outcome, Resetting};
use axiom_init::pci::{Asked, ConfigSpace, Pci};
use axiom_proto::bundle::DeviceRequest;

fn asks(device: u16) -> DeviceRequest {
    DeviceRequest { compatible: format!("pci1af4,{device:x}"), registers_kib: 8192, ..request() }
}

fn request() -> DeviceRequest {
    DeviceRequest { registers_kib: 0, ..device("f", "") }
}

/// A board with this function on it, which was given.
struct One {
    board: Board,
    pci: Pci,
    function: axiom_init::pci::Function,
    model: Function,
}

fn one(model: Function) -> One {
    let mut board = Board::new(&[(place(3), &model)]);
    let space = ConfigSpace { base: SPACE, last_bus: 0, processor: 0 };
    let number = (model.at(0) >> 16) as u16;
    let (mut pci, _) = Pci::new(&mut board, Some(space), (0, 0), &[]).unwrap();
    let Asked::Given(_, mut function) = pci.find(&mut board, &asks(number)).unwrap() else {
        panic!("it is given")
    };
    for entry in 0..function.messages() {
        pci.message(&mut board, &mut function, entry, 70 + u64::from(entry)).unwrap();
    }
    One { board, pci, function, model }
}

impl One {
    /// What it waits for in turn, and what became of it.
    fn reset(&mut self) -> (Vec<u64>, Outcome) {
        let (mut waits, mut reset) = (Vec::new(), Resetting::FIRST);
        // Whatever it was told: it is a master until somebody says otherwise.
        self.model.set(|m| m.words.extend([(COMMAND, 0x0010_0006)]));
        loop {
            let next = self.pci.step(&mut self.board, &self.function, &mut reset).unwrap();
            assert!(self.model.command() & MASTER == 0, "it accesses memory before its reset is over");
            match next {
                Next::After(us) => {
                    assert_eq!(reset.outcome(), None);
                    waits.push(us);
                }
                Next::Ended(outcome) => {
                    assert_eq!(reset.outcome(), Some(outcome));
                    // It stays so.
                    assert_eq!(
                        self.pci.step(&mut self.board, &self.function, &mut reset),
                        Ok(Next::Ended(outcome))
                    );
                    return (waits, outcome);
                }
            }
            assert!(waits.len() < 300, "a reset that never ends");
        }
    }

    /// It has its addresses, its messages, and no access of its own.
    fn is_whole(&self) {
        assert_eq!((self.model.command(), self.model.base(0)), (MEMORY, 0xc000_0000));
        let table = 0xc000_0800;
        let entries: Vec<_> = (0..6).map(|i| self.board.entry(table + 16 * i)).collect();
        for (i, entry) in entries.iter().enumerate() {
            let masked = [0, 0, 0, 1];
            let slot = 70 + i as u32;
            assert_eq!(*entry, if i < 4 { [0xfee0_0000, 0, slot, 0] } else { masked });
        }
        assert_eq!(self.model.at(0x50) >> 30, 2, "messages are on");
    }
}

fn plain() -> Function {
    function(1).bar(0, 0xc000_0000, 0x1000).messages(0, 0x800, 6)
}

#[test]
fn each_way_waits_as_long_as_it_takes_and_gives_everything_back() {
    for (model, waits) in [
        (plain().express(), vec![100_000]),
        (plain().features(), vec![100_000]),
        (plain().power(), vec![10_000, 10_000]),
        // The best of them.
        (plain().express().power(), vec![100_000]),
    ] {
        let resets = model.0.borrow().writes.len();
        let mut one = one(model);
        // Its table, as a life of its driver left it.
        one.pci.set_master(&mut one.board, &one.function, true).unwrap();
        assert_eq!(one.reset(), (waits, Outcome::Forgot));
        one.is_whole();
        assert!(one.model.0.borrow().writes.len() > resets);
        // A second time, as at a restart.
        assert_eq!(one.reset().1, Outcome::Forgot);
        one.is_whole();
    }
}

#[test]
fn accesses_that_are_under_way_are_waited_for_but_not_for_ever() {
    for (model, busy, looks) in
        [(plain().express(), 1, 1), (plain().features(), 7, 7), (plain().express(), 100, 100)]
    {
        let mut one = one(model);
        one.model.set(|m| m.busy = busy);
        let (waits, outcome) = one.reset();
        assert_eq!(outcome, Outcome::Forgot);
        assert_eq!(waits, [vec![1000; looks], vec![100_000]].concat());
        one.is_whole();
    }
    // Those that have not ended then are cut off, and afterwards none is left: it takes two looks more.
    let mut other = one(plain().express());
    // The look that begins the reset sees them, too.
    other.model.set(|m| m.busy = 104);
    let (waits, outcome) = other.reset();
    assert_eq!((waits.len(), outcome), (100 + 1 + 2, Outcome::Forgot));
    assert_eq!(waits[101..], [10_000, 10_000]);
    // For ever: it is lost.
    other.model.set(|m| m.busy = u32::MAX);
    assert_eq!(other.reset().1, Outcome::Lost(Lost::Busy));
    assert_eq!(other.model.command() & MASTER, 0);
}

#[test]
fn a_function_that_comes_back_late_is_waited_for_and_one_that_does_not_is_lost() {
    for model in [plain().express(), plain().features()] {
        for (gone, looks, outcome) in
            [(1, 1, Outcome::Forgot), (100, 100, Outcome::Forgot), (101, 100, Outcome::Lost(Lost::Gone))]
        {
            let mut one = one(model.clone());
            one.model.set(|m| m.gone = gone);
            assert_eq!(one.reset(), ([vec![100_000], vec![10_000; looks]].concat(), outcome));
            if outcome == Outcome::Forgot {
                one.is_whole();
            }
            one.model.set(|m| m.gone = 0);
            one.reset();
        }
    }
    // As another one.
    let mut one = one(plain().express());
    one.model.set(|m| m.spoils.extend([(0, 0x1234_1af4)]));
    assert_eq!(one.reset().1, Outcome::Lost(Lost::Gone));
    let text = [Lost::Gone, Lost::Busy, Lost::Changed].map(|lost| lost.to_string());
    let says = [
        "it does not answer afterwards, or as another one",
        "it does not end",
        "afterwards it does not keep its addresses, or accesses memory unasked",
    ];
    assert_eq!(text, says);
}

#[test]
fn a_function_that_is_changed_by_its_reset_is_lost() {
    // It keeps an address of its own; it goes on accessing memory.
    for (offset, word) in [(0x10, 0xd000_0000), (COMMAND, 0x0010_0004)] {
        let mut one = one(plain().express());
        one.model.set(|m| m.spoils.extend([(offset, word)]));
        let mut reset = Resetting::FIRST;
        let next = loop {
            match one.pci.step(&mut one.board, &one.function, &mut reset).unwrap() {
                Next::After(_) => {}
                Next::Ended(outcome) => break outcome,
            }
        };
        assert_eq!(next, Outcome::Lost(Lost::Changed), "{offset:#x}");
        assert_eq!(one.model.command() & MEMORY, 0, "nobody lets it answer");
    }
    // One that stays asleep.
    let mut one = one(plain().power());
    one.model.set(|m| m.spoils.extend([(0x84, 3)]));
    assert_eq!(one.reset().1, Outcome::Lost(Lost::Busy));
}

#[test]
fn a_driver_s_own_reset_is_used_where_the_function_has_none() {
    let virtio = || function(0x1041).bar(0, 0xc000_0000, 0x1000).virtio(0);
    // Power states reset less than virtio's register does.
    for model in [virtio(), virtio().power()] {
        for (busy, looks, outcome) in
            [(0, 0, Outcome::Forgot), (100, 100, Outcome::Forgot), (101, 100, Outcome::Lost(Lost::Busy))]
        {
            let mut one = one(model.clone());
            one.board.status.set(busy);
            assert_eq!(one.reset(), (vec![1000; looks], outcome));
            assert_eq!(one.board.touched.last(), Some(&0xc000_0014));
        }
    }
    // A function of its own is better.
    let mut one = one(virtio().express());
    assert_eq!(one.reset(), (vec![100_000], Outcome::Forgot));
    assert!(one.board.touched.is_empty());
}

#[test]
fn one_that_has_no_way_to_be_reset_gets_no_memory() {
    let mut one = one(plain());
    assert_eq!(one.reset(), (vec![], Outcome::Cannot));
}
