//! Which PCI functions are given, with what, and which are refused.
use crate::board::{Board, Function, MEMORY, SPACE, function, place};
use crate::machine::device;
use axiom_init::pci::places::{Offered, Span, What};
use axiom_init::pci::{Asked, ConfigSpace, MOST_BASES, MOST_FUNCTIONS, Pci, Trouble, Why};
use axiom_pci::{BARS, Entry, Place};
use axiom_proto::bundle::DeviceRequest;
use sel4_sys::Error;

const SPACE_OF_256: ConfigSpace = ConfigSpace { base: SPACE, last_bus: 255, processor: 3 };
const HPET: Span = Span { from: 0xfed0_0000, end: 0xfed0_1000 };

fn asks(id: u16) -> DeviceRequest {
    DeviceRequest { registers_kib: 2048, ..device("f", &format!("pci1af4,{id:x}")) }
}

/// What there is on a board with a window, first and bytes.
fn survey(board: &mut Board, window: (u64, u64)) -> Pci {
    let (pci, trouble) = Pci::new(board, Some(SPACE_OF_256), window, &[("the HPET", HPET)]).unwrap();
    assert_eq!((trouble, board.open), (None, 0));
    pci
}

fn given(pci: &mut Pci, board: &mut Board, request: &DeviceRequest) -> axiom_init::pci::Function {
    match pci.find(board, request).unwrap() {
        Asked::Given(page, function) => {
            assert_eq!(page, SPACE + function.place().page());
            function
        }
        Asked::Absent => panic!("there is none"),
        Asked::Refused(place, why) => panic!("{place}: {why}"),
    }
}

fn refused(pci: &mut Pci, board: &mut Board, request: &DeviceRequest) -> Why {
    match pci.find(board, request).unwrap() {
        Asked::Refused(_, why) => why,
        Asked::Given(..) => panic!("it is given"),
        Asked::Absent => panic!("there is none"),
    }
}

/// Why a lone function with one BAR is refused, or that it is not.
fn alone(function: &Function) -> Option<String> {
    let mut board = Board::new(&[(place(3), function)]);
    let mut pci = survey(&mut board, (0, 0));
    match pci.find(&mut board, &asks(1)).unwrap() {
        Asked::Refused(at, why) => {
            assert_eq!((at, function.command()), (place(3), 0), "who is refused is off");
            Some(why.to_string())
        }
        Asked::Given(..) => None,
        Asked::Absent => panic!("it is there"),
    }
}

#[test]
fn a_function_is_given_on_without_the_bus_and_without_the_table_of_messages() {
    let f =
        function(1).bar(1, 0xc000_0000, 0x4000).wide(4, 0x8_0000_0000, 0x10_0000).messages(1, 0x1000, 300);
    let other = function(2);
    let mut board = Board::new(&[(place(3), &f), (place(2), &other)]);
    let mut pci = survey(&mut board, (0, 0));
    let got = given(&mut pci, &mut board, &asks(1));
    assert_eq!((f.command(), f.base(1), other.command()), (MEMORY, 0xc000_0000, 6));
    let bars: Vec<_> = got.bars().iter().flatten().map(|b| (b.index, b.base, b.size)).collect();
    assert_eq!(bars, [(1, 0xc000_0000, 0x4000), (4, 0x8_0000_0000, 0x10_0000)]);
    // 300 entries are on two pages, masked each, and the table is on.
    let pieces: Vec<_> = got.pieces(&got.bars()[1].unwrap()).collect();
    assert_eq!(pieces, [(0, 0x1000), (0x3000, 0x1000)]);
    assert_eq!(got.pieces(&got.bars()[4].unwrap()).collect::<Vec<_>>(), [(0, 0x10_0000)]);
    assert!((0..300).all(|i| board.entry(0xc000_1000 + 16 * i) == Entry::MASKED));
    assert_ne!(board.entry(0xc000_1000 + 16 * 300), Entry::MASKED);
    assert_eq!(board.touched, [0xc000_1000, 0xc000_2000], "a page at a time");
    assert_eq!((f.at(0x50) >> 30, got.messages()), (2, 4));
    // By its number, and by which of them.
    assert!(matches!(pci.find(&mut board, &asks(3)), Ok(Asked::Absent)));
    let second = DeviceRequest { instance: 1, ..asks(1) };
    assert!(matches!(pci.find(&mut board, &second), Ok(Asked::Absent)));
}

#[test]
fn a_table_that_begins_in_the_middle_of_a_page_is_masked_to_its_end() {
    let f = function(1).bar(1, 0xc000_0000, 0x4000).messages(1, 0x800, 600);
    let mut board = Board::new(&[(place(3), &f)]);
    let mut pci = survey(&mut board, (0, 0));
    given(&mut pci, &mut board, &asks(1));
    assert!((0..600).all(|i| board.entry(0xc000_0800 + 16 * i) == Entry::MASKED));
    assert_ne!(board.entry(0xc000_0800 + 16 * 600), Entry::MASKED);
    // A page at a time, and of 256 entries at once those that are left.
    assert_eq!(board.touched, [0xc000_0800, 0xc000_1000, 0xc000_1800, 0xc000_2000, 0xc000_2800]);
}

#[test]
fn an_entry_is_masked_before_it_changes_and_unmasked_when_it_is_whole() {
    let f = function(1).bar(0, 0xc000_0000, 0x1000).messages(0, 0, 1);
    let mut board = Board::new(&[(place(3), &f)]);
    let mut pci = survey(&mut board, (0, 0));
    let mut got = given(&mut pci, &mut board, &asks(1));
    board.written.take();
    pci.message(&mut board, &mut got, 0, 70).unwrap();
    assert_eq!(board.written.take(), [(12, 1), (0, 0xfee0_3000), (4, 0), (8, 70), (12, 0)]);
}

#[test]
fn what_was_given_stays_known_whatever_is_given_after_it() {
    let first = function(1).bar(0, 0xd000_0000, 0x1_0000);
    let second = function(2).bar(0, 0xe000_0000, 0x1000);
    // In the middle of the first, and where one begins that nobody asks for.
    let third = function(3).bar(0, 0xd000_8000, 0x1000);
    let fourth = function(4).bar(0, 0xe100_0000, 0x2000);
    let fifth = function(5).bar(0, 0xe100_1000, 0x1000);
    let all = [(place(1), &first), (place(2), &second), (place(4), &fourth), (place(5), &fifth)];
    let mut board = Board::new(&all);
    let mut pci = survey(&mut board, (0, 0));
    given(&mut pci, &mut board, &asks(1));
    given(&mut pci, &mut board, &asks(2));
    let why = refused(&mut pci, &mut board, &asks(4)).to_string();
    assert!(why.ends_with("is over registers of 00:05.0, 0xe1001000 to 0xe1001fff"), "{why}");
    let mut board = Board::new(&[(place(1), &first), (place(2), &second), (place(3), &third)]);
    // The first is measured while the third has no address yet.
    third.set(|m| m.words.extend([(0x10, 0)]));
    let mut pci = survey(&mut board, (0xd000_8000, 0x1000));
    third.set(|m| m.words.extend([(0x10, 0xd000_8000)]));
    given(&mut pci, &mut board, &asks(1));
    given(&mut pci, &mut board, &asks(2));
    let why = refused(&mut pci, &mut board, &asks(3)).to_string();
    assert!(why.ends_with("is over BAR 0 of 00:01.0, 0xd0000000 to 0xd000ffff"), "{why}");
}

#[test]
fn an_address_of_the_window_is_beyond_the_functions_own_registers() {
    let f = function(1).bar(0, 0xc000_0000, 0x100_0000).bar(1, 0, 0x1000);
    let mut board = Board::new(&[(place(3), &f)]);
    let mut pci = survey(&mut board, (0xc020_0000, 0x200_0000));
    let request = DeviceRequest { registers_kib: 17 << 10, ..asks(1) };
    let got = given(&mut pci, &mut board, &request);
    assert_eq!(got.bars()[1].map(|bar| bar.base), Some(0xc100_0000));
}

#[test]
fn pages_of_bytes_that_wrap_end_with_the_last_whole_page() {
    let last = !4095;
    assert_eq!(Span::pages(u64::MAX - 10, 100), Span { from: last, end: last });
    assert_eq!(Span::pages(0x1fff, 2), Span { from: 0x1000, end: 0x3000 });
    assert_eq!(Span::pages(0x1000, 0), Span { from: 0x1000, end: 0x2000 });
}

#[test]
fn messages_are_made_in_order_and_written_where_they_belong() {
    let f = function(1).bar(0, 0xc000_0000, 0x1000).messages(0, 0x20, 2);
    let mut board = Board::new(&[(place(3), &f)]);
    let mut pci = survey(&mut board, (0, 0));
    let mut got = given(&mut pci, &mut board, &asks(1));
    assert_eq!((got.messages(), got.pieces(&got.bars()[0].unwrap()).count()), (2, 0));
    for (entry, slot) in [(0, 70), (1, 71)] {
        pci.message(&mut board, &mut got, entry, slot).unwrap();
    }
    assert_eq!(board.handlers, [(3, place(3), 70), (3, place(3), 71)]);
    assert_eq!(board.entry(0xc000_0020), [0xfee0_3000, 0, 70, 0]);
    assert_eq!(board.entry(0xc000_0030), [0xfee0_3000, 0, 71, 0]);
    // Without a table there are none.
    let f = function(1).bar(0, 0xc000_0000, 0x1000);
    let mut board = Board::new(&[(place(3), &f)]);
    let mut pci = survey(&mut board, (0, 0));
    let mut got = given(&mut pci, &mut board, &asks(1));
    assert_eq!(got.messages(), 0);
    assert_eq!(pci.message(&mut board, &mut got, 0, 70), Err(Error::IllegalOperation));
    assert!(board.handlers.is_empty() && board.touched.is_empty());
}

#[test]
fn registers_over_something_else_are_refused_with_both_ranges() {
    let over = |base, size| alone(&function(1).bar(2, base, size));
    let says = |span: &str, what: &str| Some(format!("its BAR 2, {span}, is over {what}"));
    assert_eq!(over(0x7fff_0000, 0x1000), says("0x7fff0000 to 0x7fff0fff", "RAM, 0x100000 to 0x7fffffff"));
    // A BAR that is less than a page takes the page.
    assert_eq!(over(0x7fff_ff00, 0x100), says("0x7ffff000 to 0x7fffffff", "RAM, 0x100000 to 0x7fffffff"));
    assert_eq!(over(0x8000_0000, 0x1000), None);
    assert_eq!(
        over(0xb000_8000, 0x1000),
        says("0xb0008000 to 0xb0008fff", "PCI configuration space, 0xb0000000 to 0xbfffffff")
    );
    assert_eq!((over(0xafff_f000, 0x1000), over(0xc000_0000, 0x1000)), (None, None));
    assert_eq!(
        over(0xfed0_0400, 0x100),
        says("0xfed00000 to 0xfed00fff", "the HPET, 0xfed00000 to 0xfed00fff")
    );
    assert_eq!((over(0xfecf_f000, 0x1000), over(0xfed0_1000, 0x1000)), (None, None));
    let kernels = "what the kernel keeps for itself, 0xfec00000 to 0xfec00fff";
    assert_eq!(over(0xfec0_0000, 0x1000), says("0xfec00000 to 0xfec00fff", kernels));
    assert_eq!(over(0xfec0_0000, 0x10_0000), says("0xfec00000 to 0xfecfffff", kernels));
    assert_eq!((over(0xfebf_f000, 0x1000), over(0xfec0_1000, 0x1000)), (None, None));
    // Before the first, and beyond the last.
    let low = says("0x1000 to 0x1fff", "what the kernel keeps for itself, 0x0 to 0xfffff");
    assert_eq!(over(0x1000, 0x1000), low);
    let high = alone(&function(1).wide(2, 1 << 36, 0x1000));
    let beyond = "what the kernel keeps for itself, 0x1000000000 to 0xfffffffffffffffe";
    assert_eq!(high, says("0x1000000000 to 0x1000000fff", beyond));
}

#[test]
fn registers_over_those_of_another_function_are_refused_and_the_other_is_given() {
    let first = function(1).bar(0, 0xd000_0000, 0x2000);
    for (base, size, meets) in [
        (0xd000_0000, 0x2000, true),
        (0xd000_1000, 0x1000, true),
        (0xd000_1f00, 0x100, true),
        (0xd000_2000, 0x2000, false),
        (0xcfff_f000, 0x1000, false),
    ] {
        let second = function(2).bar(4, base, size);
        let mut board = Board::new(&[(place(1), &first), (place(2), &second)]);
        let mut pci = survey(&mut board, (0, 0));
        // Nobody has measured the second: where it begins, it is.
        let begins = (0xd000_0000..0xd000_2000).contains(&base);
        match pci.find(&mut board, &asks(1)).unwrap() {
            Asked::Refused(_, why) => {
                assert!(begins, "{base:#x}: {why}");
                let page = Span::pages(base, 1);
                let own = "its BAR 0, 0xd0000000 to 0xd0001fff, is over";
                assert_eq!(why.to_string(), format!("{own} registers of 00:02.0, {page}"));
            }
            other => assert!(!begins && matches!(other, Asked::Given(..)), "{base:#x}"),
        }
        // The other way round, the first is measured before, or is not: it begins at its first page.
        let mut pci = survey(&mut board, (0, 0));
        let apart = function(1).bar(0, 0xe000_0000, 0x2000);
        let mut ours = Board::new(&[(place(1), &apart), (place(2), &second)]);
        let mut others = survey(&mut ours, (0, 0));
        given(&mut others, &mut ours, &asks(1));
        given(&mut others, &mut ours, &asks(2));
        if !begins {
            given(&mut pci, &mut board, &asks(1));
            given(&mut pci, &mut board, &asks(2));
        }
        assert_eq!(begins, meets);
    }
    // One that begins before, and reaches over another that was measured.
    let large = function(2).bar(0, 0xd000_0000, 0x10_0000);
    let small = function(1).bar(3, 0xd000_8000, 0x1000);
    let mut board = Board::new(&[(place(2), &large), (place(1), &small)]);
    let mut pci = survey(&mut board, (0, 0));
    let why = refused(&mut pci, &mut board, &asks(2)).to_string();
    assert_eq!(
        why,
        "its BAR 0, 0xd0000000 to 0xd00fffff, is over registers of 00:01.0, 0xd0008000 to 0xd0008fff"
    );
    given(&mut pci, &mut board, &asks(1));
    let mut pci = survey(&mut board, (0, 0));
    given(&mut pci, &mut board, &asks(1));
    let why = refused(&mut pci, &mut board, &asks(2)).to_string();
    assert_eq!(
        why,
        "its BAR 0, 0xd0000000 to 0xd00fffff, is over BAR 3 of 00:01.0, 0xd0008000 to 0xd0008fff"
    );
    // The small one lies in the large one, whose size is known only if it was given.
    let mut pci = survey(&mut Board::new(&[(place(2), &large)]), (0, 0));
    let mut lone = Board::new(&[(place(2), &large)]);
    given(&mut pci, &mut lone, &asks(2));
}

#[test]
fn a_function_whose_own_registers_lie_over_each_other_is_refused() {
    let f = |second| function(1).bar(0, 0xc000_0000, 0x1000).bar(1, second, 0x100).messages(1, 0, 1);
    let why = "its BAR 0, 0xc0000000 to 0xc0000fff, is over BAR 1 of 00:03.0, 0xc0000000 to 0xc0000fff";
    assert_eq!(alone(&f(0xc000_0800)).as_deref(), Some(why));
    assert_eq!(alone(&f(0xc000_1000)), None);
}

#[test]
fn the_same_function_can_be_asked_for_again() {
    let f = function(1).bar(0, 0xc000_0000, 0x1000);
    let mut board = Board::new(&[(place(3), &f)]);
    let mut pci = survey(&mut board, (0, 0));
    given(&mut pci, &mut board, &asks(1));
    // Whose it is, is seen where servers are.
    given(&mut pci, &mut board, &asks(1));
}

#[test]
fn functions_without_addresses_get_some_of_the_window_and_of_nothing_else() {
    // A neighbour keeps 2 MiB around its first register; the HPET its page.
    let neighbour = function(9).bar(0, 0xfee0_1000, 0x1000);
    let f = function(1).bar(0, 0, 0x1000).bar(1, 0, 0x100).wide(4, 0, 0x4000);
    let mut board = Board::new(&[(place(3), &f), (place(4), &neighbour)]);
    let mut pci = survey(&mut board, (0xfecf_f000, 0x400_0000));
    let got = given(&mut pci, &mut board, &asks(1));
    let bases: Vec<_> = got.bars().iter().flatten().map(|bar| bar.base).collect();
    assert_eq!(bases, [0xfecf_f000, 0xfed0_1000, 0xfed0_4000]);
    assert_eq!([f.base(0), f.base(1), f.base(4)].map(u64::from).to_vec(), bases);
    // Where the neighbour is, there is no room.
    let mut board = Board::new(&[(place(3), &function(1).bar(0, 0, 0x1000)), (place(4), &neighbour)]);
    let mut pci = survey(&mut board, (0xfee0_0000, 0x20_1000));
    assert_eq!(given(&mut pci, &mut board, &asks(1)).bars()[0].unwrap().base, 0xff00_0000);
    let mut pci = survey(&mut board, (0xfee0_0000, 0x20_0000));
    let f = function(1).bar(0, 0, 0x1000);
    let mut board = Board::new(&[(place(3), &f), (place(4), &neighbour)]);
    assert_eq!(refused(&mut pci, &mut board, &asks(1)), Why::NoRoom(0x1000, false));
    // A window over RAM or over the kernel's devices gives nothing, and nothing is written.
    for (window, what) in [(0x7fff_f000, "RAM"), (0xfec0_0000, "what the kernel keeps for itself")] {
        let f = function(1).bar(0, 0, 0x1000);
        let mut board = Board::new(&[(place(3), &f)]);
        let mut pci = survey(&mut board, (window, 0x1000));
        let why = refused(&mut pci, &mut board, &asks(1)).to_string();
        assert!(why.contains(&format!("is over {what}, ")), "{why}");
        assert_eq!((f.base(0), f.command()), (0, 0));
    }
    // Two functions, one after the other.
    let (a, b) = (function(1).bar(0, 0, 0x1000), function(2).bar(0, 0, 0x1000));
    let mut board = Board::new(&[(place(3), &a), (place(4), &b)]);
    let mut pci = survey(&mut board, (0xc000_0000, 0x2000));
    given(&mut pci, &mut board, &asks(1));
    given(&mut pci, &mut board, &asks(2));
    assert_eq!((a.base(0), b.base(0)), (0xc000_0000, 0xc000_1000));
}

#[test]
fn refusals_are_sentences() {
    let wide = Why::NoRoom(0x1000, true).to_string();
    let window = "firmware gave it no address, and the manifest's PCI window (pci_window_mib) has no room for 0x1000 bytes";
    assert_eq!(wide, window);
    assert_eq!(
        Why::NoRoom(0x1000, false).to_string(),
        format!("{window} below 4 GiB, above which its 32 bits do not reach")
    );
    assert_eq!(Why::Bridge.to_string(), "it is a bridge, which leads to what belongs to others");
    assert_eq!(Why::Behind.to_string(), "firmware gave it no address, and it is behind a bridge");
}

#[test]
fn a_bridge_is_not_given_and_what_is_behind_one_gets_no_address() {
    let bridge = function(7).bridge(1);
    let behind = Place { bus: 1, device: 0, function: 0 };
    let (with, without) = (function(1).bar(0, 0xc000_0000, 0x1000), function(1).bar(0, 0, 0x1000));
    for f in [&with, &without] {
        let mut board = Board::new(&[(place(2), &bridge), (behind, f)]);
        let mut pci = survey(&mut board, (0xd000_0000, 0x10_0000));
        bridge.set(|m| m.words.extend([(4, 0)]));
        if f.base(0) == 0 {
            assert_eq!(refused(&mut pci, &mut board, &asks(1)), Why::Behind);
            assert_eq!(bridge.command(), 0);
        } else {
            given(&mut pci, &mut board, &asks(1));
            assert_eq!(bridge.command(), 6, "it passes on accesses in both directions");
        }
        assert_eq!(refused(&mut pci, &mut board, &asks(7)), Why::Bridge);
    }
}

#[test]
fn a_function_takes_no_more_addresses_than_the_manifest_says() {
    // Configuration space, and a BAR of 16 KiB less the page of its table: a free page after each of the three.
    let f = function(1).bar(0, 0xc000_0000, 0x4000).messages(0, 0x1000, 1);
    let kib = 4 + 4 + (4 + 4) + (8 + 4);
    for registers_kib in [kib, kib - 4, 8] {
        let mut board = Board::new(&[(place(3), &f)]);
        let mut pci = survey(&mut board, (0, 0));
        let request = DeviceRequest { registers_kib, ..asks(1) };
        if registers_kib == kib {
            given(&mut pci, &mut board, &request);
            continue;
        }
        let why = refused(&mut pci, &mut board, &request);
        assert_eq!((why, f.command()), (Why::Large(u64::from(kib) << 10, u64::from(registers_kib) << 10), 0));
        let says = format!(
            "its registers take 0x7000 bytes of the server's addresses, and the manifest says {:#x} (registers_kib)",
            registers_kib << 10
        );
        assert_eq!(why.to_string(), says);
    }
    // What a function claims may be any number.
    let huge =
        function(1).wide(0, 1 << 63, 1 << 63).wide(2, 0x8_0000_0000, 1 << 35).wide(4, 1 << 62, 1 << 62);
    assert!(alone(&huge).is_some());
}

#[test]
fn a_machine_with_more_than_can_be_known_has_none() {
    let places = |count: usize| {
        (0..count).map(|i| Place {
            bus: (i / 8 / 32) as u8,
            device: (i / 8 % 32) as u8,
            function: (i % 8) as u8,
        })
    };
    // Every device has eight functions; the last device of bus 0 is a bridge to bus 1, where the 257th is.
    let several = |f: Function| {
        let layout = f.0.borrow().words.get(&0xc).copied().unwrap_or(0);
        f.word(0xc, layout | 0x80_0000, 0)
    };
    let all: Vec<_> = places(MOST_FUNCTIONS + 1)
        .map(|at| {
            (
                at,
                several(if at.device == 31 && at.function == 7 {
                    function(7).bridge(1)
                } else {
                    function(1)
                }),
            )
        })
        .collect();
    for count in [MOST_FUNCTIONS, MOST_FUNCTIONS + 1] {
        let functions: Vec<_> = all[..count].iter().map(|(at, f)| (*at, f)).collect();
        let mut board = Board::new(&functions);
        let (mut pci, trouble) = Pci::new(&mut board, Some(SPACE_OF_256), (0, 0), &[]).unwrap();
        let found = matches!(pci.find(&mut board, &asks(1)), Ok(Asked::Given(..)));
        assert_eq!(
            (found, trouble.is_some(), board.open),
            (count == MOST_FUNCTIONS, count != MOST_FUNCTIONS, 0)
        );
        if let Some(trouble) = trouble {
            let says = "there are more than 256 PCI functions, or 1024 addresses of them: none is used, for whose addresses are whose is \
                        not known";
            assert_eq!((trouble, trouble.to_string().as_str()), (Trouble::TooMany, says));
        }
    }
    // Addresses: six of each of so many functions, and one more or less.
    for count in [MOST_BASES, MOST_BASES + 1] {
        let functions: Vec<_> = places(count.div_ceil(BARS))
            .enumerate()
            .map(|(i, at)| {
                let bars = (count - i * BARS).min(BARS);
                let at_least = (0..bars as u16).fold(several(function(2)), |f, bar| {
                    f.bar(bar, 0xc000_0000 + (i as u64 * 6 + u64::from(bar)) * 0x1000, 0x1000)
                });
                (at, at_least)
            })
            .collect();
        let functions: Vec<_> = functions.iter().map(|(at, f)| (*at, f)).collect();
        let mut board = Board::new(&functions);
        let (mut pci, trouble) = Pci::new(&mut board, Some(SPACE_OF_256), (0, 0), &[]).unwrap();
        let found = matches!(pci.find(&mut board, &asks(2)), Ok(Asked::Given(..)));
        let fits = count == MOST_BASES;
        assert_eq!((trouble, found), ((!fits).then_some(Trouble::TooMany), fits));
    }
}

#[test]
fn only_configuration_space_that_is_there_is_looked_at() {
    let (near, far) = (function(1).bar(0, 0xc000_0000, 0x1000), function(2));
    let behind = Place { bus: 1, device: 0, function: 0 };
    let bridge = function(7).bridge(1);
    let functions = [(place(1), &bridge), (place(2), &near), (behind, &far)];
    let space = |base, last_bus| Some(ConfigSpace { base, last_bus, processor: 0 });
    let mut board = Board::new(&functions);
    let (mut pci, trouble) = Pci::new(&mut board, space(SPACE, 0), (0, 0), &[]).unwrap();
    assert_eq!(trouble, None);
    assert!(matches!(pci.find(&mut board, &asks(2)), Ok(Asked::Absent)));
    given(&mut pci, &mut board, &asks(1));
    // Its last byte is that of the last bus.
    for (base, given) in [(SPACE + 0xf_f000, false), (SPACE + 0x10_0000, true)] {
        let f = function(1).bar(0, base, 0x1000);
        let mut board = Board::new(&[(place(1), &f)]);
        let (mut pci, _) = Pci::new(&mut board, space(SPACE, 0), (0, 0), &[]).unwrap();
        assert_eq!(matches!(pci.find(&mut board, &asks(1)), Ok(Asked::Given(..))), given);
    }
    // A part that cannot be mapped is spoken of; the rest is there.
    let mut board = Board::new(&functions);
    board.dark = vec![1];
    let (mut pci, trouble) = Pci::new(&mut board, space(SPACE, 255), (0, 0), &[]).unwrap();
    assert_eq!(trouble, Some(Trouble::Missing(Error::FailedLookup)));
    assert!(
        trouble
            .unwrap()
            .to_string()
            .starts_with("a part of PCI configuration space cannot be mapped: an address")
    );
    given(&mut pci, &mut board, &asks(1));
    // Where large pages do not begin, nobody looks.
    let (mut pci, trouble) = Pci::new(&mut board, space(SPACE + 0x10_0000, 0), (0, 0), &[]).unwrap();
    assert!(matches!(pci.find(&mut board, &asks(1)), Ok(Asked::Absent)));
    let says = "PCI configuration space at 0xb0100000 is not at a multiple of 2 MiB: not looked at";
    assert_eq!(trouble.map(|t| t.to_string()).as_deref(), Some(says));
    let (mut pci, trouble) = Pci::new(&mut board, None, (0, 0), &[]).unwrap();
    assert!(matches!(pci.find(&mut board, &asks(1)), Ok(Asked::Absent)) && trouble.is_none());
}

#[test]
fn whatever_is_among_some_addresses_is_found() {
    // All small worlds: four blocks of up to three pages on twelve, RAM or registers, and every range.
    const PAGES: u64 = 9;
    let span = |from: u64, end: u64| Span { from: from * 4096, end: end * 4096 };
    for world in 0..3u32.pow(PAGES as u32) {
        let kind = |page: u64| world / 3u32.pow(page as u32) % 3;
        let of = |wanted| (0..PAGES).rev().filter(|p| kind(*p) == wanted).map(|p| span(p, p + 1)).collect();
        let offered = Offered::new(of(1), of(2));
        for from in 0..PAGES {
            for end in from + 1..=PAGES {
                let any = |wanted| (from..end).find(|p| kind(*p) == wanted);
                let edges = |page: u64| {
                    let first = (0..page).rev().find(|p| kind(*p) != kind(page)).map_or(0, |p| p + 1);
                    let last = (page..PAGES).find(|p| kind(*p) != kind(page)).unwrap_or(PAGES);
                    (first, last)
                };
                let got = offered.other(span(from, end));
                match (any(1), any(0)) {
                    (Some(ram), _) => {
                        let (first, last) = edges(ram);
                        assert_eq!(got, Some((What::Ram, span(first, last))));
                    }
                    (None, Some(gap)) => {
                        let (first, last) = edges(gap);
                        let last =
                            if last == PAGES { Span { from: 0, end: u64::MAX } } else { span(0, last) };
                        let gap = Span { from: first * 4096, end: last.end };
                        assert_eq!(got, Some((What::Kernels, gap)), "{world} {from} {end}");
                    }
                    (None, None) => assert_eq!(got, None),
                }
            }
        }
    }
    assert_eq!(Offered::default().other(span(0, 1)), Some((What::Kernels, Span { from: 0, end: u64::MAX })));
}
