//! Capabilities: what they designate, packed into two words.
//!
//! Word 0 always has the kind in bits 63..59. Objects are named by physical address: 47 bits are enough for every machine
//! that an untyped can describe. The packing is private; the rest of the kernel matches on [`Cap`].
use crate::arch::ports::Ports;
use crate::arch::tables::TableKind;
use crate::object::{Endpoint, KIND_SHIFT, Notification, Packed, Reply, SchedContext, Slot, Tcb, Timer};
use crate::ptr::{PhysAddr, Ptr};
use crate::zombie::Zombie;
use sel4_sys::{Badge, CapRights};

/// Size of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameSize {
    /// 4 KiB.
    Small = 0,
    /// 2 MiB.
    Large = 1,
    /// 1 GiB.
    Huge = 2,
}

impl FrameSize {
    /// The size as a power of two.
    pub const fn bits(self) -> u32 {
        match self {
            FrameSize::Small => 12,
            FrameSize::Large => 21,
            FrameSize::Huge => 30,
        }
    }
}

/// What a frame capability allows of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmRights {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
}

impl VmRights {
    /// Both.
    pub const READ_WRITE: VmRights = VmRights { read: true, write: true };
    /// The rights that remain after masking with `rights`.
    pub fn masked(self, rights: CapRights) -> VmRights {
        // Nothing can be mapped to be written only: without reading there is no access.
        let read = self.read && rights.contains(CapRights::READ);
        VmRights { read, write: read && self.write && rights.contains(CapRights::WRITE) }
    }
}

/// Where something is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Address space identifier, never 0.
    pub asid: u16,
    /// Virtual address.
    pub vaddr: u64,
}

/// A capability, unpacked.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Cap {
    Null,
    Untyped {
        base: PhysAddr,
        bits: u32,
        device: bool,
        free: u64,
    },
    Endpoint {
        ep: Ptr<Endpoint>,
        badge: Badge,
        rights: CapRights,
    },
    Notification {
        ntfn: Ptr<Notification>,
        badge: Badge,
        rights: CapRights,
    },
    Reply {
        reply: Ptr<Reply>,
        can_grant: bool,
    },
    CNode {
        base: PhysAddr,
        radix: u32,
        guard: u64,
        guard_size: u32,
    },
    Tcb {
        tcb: Ptr<Tcb>,
    },
    SchedContext {
        sc: Ptr<SchedContext>,
        bits: u32,
    },
    SchedControl {
        core: u32,
    },
    IrqControl,
    IrqHandler {
        irq: u32,
    },
    Domain,
    Frame {
        base: PhysAddr,
        size: FrameSize,
        device: bool,
        rights: VmRights,
        mapping: Option<Mapping>,
    },
    PageTable {
        base: PhysAddr,
        mapping: Option<Mapping>,
        kind: TableKind,
    },
    VSpace {
        base: PhysAddr,
        asid: Option<u16>,
    },
    AsidControl,
    AsidPool {
        base: PhysAddr,
        first_asid: u16,
    },
    Timer {
        timer: Ptr<Timer>,
    },
    Trace,
    Debug,
    /// The last capability of an object that is being taken apart.
    Zombie(Zombie),
    /// I/O ports, where there are such.
    Ports(Ports),
}

const PA_MASK: u64 = (1 << 47) - 1;
const PAGE_MASK: u64 = (1 << 36) - 1;

mod kind {
    pub const NULL: u64 = 0;
    pub const UNTYPED: u64 = 1;
    pub const ENDPOINT: u64 = 2;
    pub const NOTIFICATION: u64 = 3;
    pub const REPLY: u64 = 4;
    pub const CNODE: u64 = 5;
    pub const TCB: u64 = 6;
    pub const SCHED_CONTEXT: u64 = 7;
    pub const SCHED_CONTROL: u64 = 8;
    pub const IRQ_CONTROL: u64 = 9;
    pub const IRQ_HANDLER: u64 = 10;
    pub const DOMAIN: u64 = 11;
    pub const FRAME: u64 = 12;
    pub const PAGE_TABLE: u64 = 13;
    pub const VSPACE: u64 = 14;
    pub const ASID_CONTROL: u64 = 15;
    pub const ASID_POOL: u64 = 16;
    pub const TIMER: u64 = 17;
    pub const TRACE: u64 = 18;
    pub const DEBUG: u64 = 20;
    pub const ZOMBIE: u64 = crate::zombie::KIND;
    pub const PORTS: u64 = 21;
}

const fn word(kind: u64, rest: u64) -> u64 {
    kind << KIND_SHIFT | rest
}

/// The reference behind a packed object address.
fn object<T>(word0: u64) -> Ptr<T> {
    // SAFETY: a packed capability of this kind was made by `Cap::pack` from a `Ptr` of the same type, and a
    // capability's object lives as long as the capability (the derivation tree's invariant).
    unsafe { Ptr::new(PhysAddr(word0 & PA_MASK).kernel()) }
}

/// Where a CNode's slots are, how many there are, and the bits that stand before their index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CNodePlace {
    /// The first slot.
    pub base: PhysAddr,
    /// Slots, as a power of two.
    pub radix: u32,
    /// Bits of the guard.
    pub guard_size: u32,
    /// The guard.
    pub guard: u64,
}

impl Packed {
    #[inline(always)]
    const fn is(self, kind: u64) -> bool {
        self.0 >> KIND_SHIFT == kind
    }

    /// The endpoint, badge and rights, if this is an endpoint capability. This and its like below are for the paths
    /// that every message takes; everything else unpacks.
    #[inline(always)]
    pub fn as_endpoint(self) -> Option<(Ptr<Endpoint>, u64, CapRights)> {
        self.is(kind::ENDPOINT).then(|| (object(self.0), self.1, CapRights(self.0 >> 47 & 15)))
    }

    /// The notification, badge and rights, if this is a notification capability.
    #[inline(always)]
    pub fn as_notification(self) -> Option<(Ptr<Notification>, u64, CapRights)> {
        self.is(kind::NOTIFICATION).then(|| (object(self.0), self.1, CapRights(self.0 >> 47 & 15)))
    }

    /// The reply object and its grant right, if this is a reply capability.
    #[inline(always)]
    pub fn as_reply(self) -> Option<(Ptr<Reply>, bool)> {
        self.is(kind::REPLY).then(|| (object(self.0), self.0 >> 47 & 1 != 0))
    }

    /// Where and how large the node is, and its guard, if this is a CNode capability.
    #[inline(always)]
    pub fn as_cnode(self) -> Option<CNodePlace> {
        let (radix, guard_size) = ((self.0 >> 47 & 63) as u32, (self.0 >> 53 & 63) as u32);
        let base = PhysAddr(self.0 & PA_MASK);
        self.is(kind::CNODE).then_some(CNodePlace { base, radix, guard_size, guard: self.1 })
    }

    /// Root and identifier, if this is an address space with an identifier.
    #[inline(always)]
    pub fn as_mapped_vspace(self) -> Option<(PhysAddr, u16)> {
        let asid = (self.0 >> 43) as u16;
        (self.is(kind::VSPACE) && asid != 0).then_some((PhysAddr((self.0 & PAGE_MASK) << 12), asid))
    }

    /// Base, size in bits and writability of a readable RAM frame.
    #[inline(always)]
    pub fn as_buffer_frame(self) -> Option<(PhysAddr, u32, bool)> {
        let w = self.0;
        (self.is(kind::FRAME) && w >> 40 & 1 == 0 && w >> 38 & 1 != 0).then_some((
            PhysAddr((w & PAGE_MASK) << 12),
            12 + 9 * (w >> 41 & 3) as u32,
            w >> 39 & 1 != 0,
        ))
    }

    /// The capability.
    #[inline(never)]
    pub fn unpack(self) -> Cap {
        let Packed(w, v) = self;
        let pa = PhysAddr(w & PA_MASK);
        let page = PhysAddr((w & PAGE_MASK) << 12);
        let asid = (w >> 43) as u16;
        let mapping = (asid != 0).then_some(Mapping { asid, vaddr: v });
        match w >> KIND_SHIFT {
            kind::UNTYPED => {
                Cap::Untyped { base: pa, bits: (w >> 47 & 63) as u32, device: w >> 53 & 1 != 0, free: v }
            }
            kind::ENDPOINT => {
                Cap::Endpoint { ep: object(w), badge: Badge(v), rights: CapRights(w >> 47 & 15) }
            }
            kind::NOTIFICATION => {
                Cap::Notification { ntfn: object(w), badge: Badge(v), rights: CapRights(w >> 47 & 15) }
            }
            kind::REPLY => Cap::Reply { reply: object(w), can_grant: w >> 47 & 1 != 0 },
            kind::CNODE => Cap::CNode {
                base: pa,
                radix: (w >> 47 & 63) as u32,
                guard_size: (w >> 53 & 63) as u32,
                guard: v,
            },
            kind::TCB => Cap::Tcb { tcb: object(w) },
            kind::SCHED_CONTEXT => Cap::SchedContext { sc: object(w), bits: (w >> 47 & 63) as u32 },
            kind::SCHED_CONTROL => Cap::SchedControl { core: v as u32 },
            kind::IRQ_CONTROL => Cap::IrqControl,
            kind::IRQ_HANDLER => Cap::IrqHandler { irq: v as u32 },
            kind::DOMAIN => Cap::Domain,
            kind::FRAME => Cap::Frame {
                base: page,
                size: match w >> 41 & 3 {
                    0 => FrameSize::Small,
                    1 => FrameSize::Large,
                    _ => FrameSize::Huge,
                },
                device: w >> 40 & 1 != 0,
                rights: VmRights { read: w >> 38 & 1 != 0, write: w >> 39 & 1 != 0 },
                mapping,
            },
            kind::PAGE_TABLE => Cap::PageTable { base: page, mapping, kind: TableKind::from_bits(w >> 36) },
            kind::VSPACE => Cap::VSpace { base: page, asid: (asid != 0).then_some(asid) },
            kind::ASID_CONTROL => Cap::AsidControl,
            kind::ASID_POOL => Cap::AsidPool { base: page, first_asid: v as u16 },
            kind::TIMER => Cap::Timer { timer: object(w) },
            kind::TRACE => Cap::Trace,
            kind::DEBUG => Cap::Debug,
            kind::ZOMBIE => Cap::Zombie(Zombie::from_packed(self)),
            kind::PORTS => Ports::unpack(v).map_or(Cap::Null, Cap::Ports),
            _ => Cap::Null,
        }
    }

    /// Whether this is the null capability.
    #[inline(always)]
    pub const fn is_null(self) -> bool {
        self.0 >> KIND_SHIFT == kind::NULL
    }
}

impl Cap {
    /// The packed form.
    #[inline(never)]
    pub fn pack(self) -> Packed {
        fn at<T>(kind: u64, p: Ptr<T>, rest: u64) -> u64 {
            word(kind, rest << 47 | p.phys().0)
        }
        fn paged(kind: u64, base: PhysAddr, mapping: Option<Mapping>, rest: u64) -> Packed {
            let (asid, vaddr) = mapping.map_or((0, 0), |m| (u64::from(m.asid), m.vaddr));
            Packed(word(kind, asid << 43 | rest | base.0 >> 12), vaddr)
        }
        match self {
            Cap::Null => Packed(0, 0),
            Cap::Untyped { base, bits, device, free } => {
                Packed(word(kind::UNTYPED, u64::from(device) << 53 | u64::from(bits) << 47 | base.0), free)
            }
            Cap::Endpoint { ep, badge, rights } => Packed(at(kind::ENDPOINT, ep, rights.0), badge.0),
            Cap::Notification { ntfn, badge, rights } => {
                Packed(at(kind::NOTIFICATION, ntfn, rights.0), badge.0)
            }
            Cap::Reply { reply, can_grant } => Packed(at(kind::REPLY, reply, u64::from(can_grant)), 0),
            Cap::CNode { base, radix, guard, guard_size } => Packed(
                word(kind::CNODE, u64::from(guard_size) << 53 | u64::from(radix) << 47 | base.0),
                guard,
            ),
            Cap::Tcb { tcb } => Packed(at(kind::TCB, tcb, 0), 0),
            Cap::SchedContext { sc, bits } => Packed(at(kind::SCHED_CONTEXT, sc, u64::from(bits)), 0),
            Cap::SchedControl { core } => Packed(word(kind::SCHED_CONTROL, 0), u64::from(core)),
            Cap::IrqControl => Packed(word(kind::IRQ_CONTROL, 0), 0),
            Cap::IrqHandler { irq } => Packed(word(kind::IRQ_HANDLER, 0), u64::from(irq)),
            Cap::Domain => Packed(word(kind::DOMAIN, 0), 0),
            Cap::Frame { base, size, device, rights, mapping } => {
                let rest = (size as u64) << 41
                    | u64::from(device) << 40
                    | u64::from(rights.write) << 39
                    | u64::from(rights.read) << 38;
                paged(kind::FRAME, base, mapping, rest)
            }
            Cap::PageTable { base, mapping, kind: level } => {
                paged(kind::PAGE_TABLE, base, mapping, level.bits() << 36)
            }
            Cap::VSpace { base, asid } => {
                paged(kind::VSPACE, base, asid.map(|asid| Mapping { asid, vaddr: 0 }), 0)
            }
            Cap::AsidControl => Packed(word(kind::ASID_CONTROL, 0), 0),
            Cap::AsidPool { base, first_asid } => {
                Packed(word(kind::ASID_POOL, base.0 >> 12), u64::from(first_asid))
            }
            Cap::Timer { timer } => Packed(at(kind::TIMER, timer, 0), 0),
            Cap::Trace => Packed(word(kind::TRACE, 0), 0),
            Cap::Debug => Packed(word(kind::DEBUG, 0), 0),
            Cap::Zombie(zombie) => zombie.packed(),
            Cap::Ports(ports) => Packed(word(kind::PORTS, 0), ports.word()),
        }
    }

    /// The physical range that the object takes, if it has one: start and the size's power of two.
    pub fn region(&self) -> Option<(u64, u32)> {
        use sel4_sys::object as o;
        Some(match *self {
            Cap::Untyped { base, bits, .. } => (base.0, bits),
            Cap::Endpoint { ep, .. } => (ep.phys().0, o::ENDPOINT_BITS as u32),
            Cap::Notification { ntfn, .. } => (ntfn.phys().0, o::NOTIFICATION_BITS as u32),
            Cap::Reply { reply, .. } => (reply.phys().0, o::REPLY_BITS as u32),
            Cap::CNode { base, radix, .. } => (base.0, radix + o::SLOT_BITS as u32),
            Cap::Tcb { tcb } => (tcb.phys().0, o::TCB_BITS as u32),
            Cap::SchedContext { sc, bits } => (sc.phys().0, bits),
            Cap::Frame { base, size, .. } => (base.0, size.bits()),
            Cap::PageTable { base, .. } | Cap::VSpace { base, .. } | Cap::AsidPool { base, .. } => {
                (base.0, 12)
            }
            Cap::Timer { timer } => (timer.phys().0, sel4_sys::ext::TIMER_BITS as u32),
            Cap::Zombie(zombie) => zombie.region(),
            _ => return None,
        })
    }

    /// Whether both designate the same object. Capabilities of one object can differ in badge, rights, guard or mapping.
    pub fn same_object(&self, other: &Cap) -> bool {
        use Cap::*;
        match (self, other) {
            (Untyped { .. }, _) | (_, Untyped { .. }) => false,
            (IrqHandler { irq: a }, IrqHandler { irq: b }) => a == b,
            (Ports(a), Ports(b)) => a == b,
            (IrqControl, IrqControl)
            | (Domain, Domain)
            | (AsidControl, AsidControl)
            | (Trace, Trace)
            | (Debug, Debug)
            | (SchedControl { .. }, SchedControl { .. }) => true,
            (a, b) => match (a.region(), b.region()) {
                (Some(x), Some(y)) => x == y && core::mem::discriminant(a) == core::mem::discriminant(b),
                _ => false,
            },
        }
    }

    /// Whether `other` could have been derived from `self`: it designates the same object, or lies in the memory of an
    /// untyped, or is an interrupt that the control capability hands out.
    pub fn same_region(&self, other: &Cap) -> bool {
        match (self, other) {
            (Cap::Untyped { base, bits, .. }, b) => b.region().is_some_and(|(start, b_bits)| {
                start >= base.0 && start + (1u64 << b_bits) <= base.0 + (1u64 << bits)
            }),
            (Cap::IrqControl, Cap::IrqHandler { .. }) => true,
            (Cap::Ports(a), Cap::Ports(b)) => a.gives(*b),
            (a, b) => a.same_object(b),
        }
    }

    /// The slots that the object itself holds, which must be emptied before its memory is free: base and the size's power of two.
    pub fn slots_inside(&self) -> Option<(Ptr<Slot>, u64)> {
        match *self {
            // SAFETY: a CNode's memory is an array of slots for as long as a capability to it exists.
            Cap::CNode { base, radix, .. } => Some((unsafe { Ptr::new(base.kernel()) }, 1 << radix)),
            Cap::Tcb { tcb } => Some((tcb.slot(0), crate::object::TCB_SLOTS as u64)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_packing() {
        let frame = |mapping| Cap::Frame {
            base: PhysAddr(0x4_0000_3000),
            size: FrameSize::Large,
            device: true,
            rights: VmRights { read: true, write: false },
            mapping,
        };
        for cap in [
            Cap::Null,
            Cap::Untyped { base: PhysAddr(0x4000_0000), bits: 47, device: true, free: 1 << 46 },
            Cap::CNode { base: PhysAddr(0x4000_0020), radix: 42, guard: u64::MAX >> 6, guard_size: 58 },
            Cap::IrqHandler { irq: 1019 },
            frame(None),
            frame(Some(Mapping { asid: 0xffff, vaddr: 0xffff_ffff_f000 })),
            Cap::PageTable {
                base: PhysAddr(0x5000),
                mapping: Some(Mapping { asid: 1, vaddr: 1 << 39 }),
                kind: TableKind::LAST,
            },
            Cap::VSpace { base: PhysAddr(0x5000), asid: Some(3) },
            Cap::AsidPool { base: PhysAddr(0x9000), first_asid: 0xfe00 },
            Cap::SchedControl { core: 3 },
            Cap::Trace,
            Cap::Debug,
        ] {
            assert_eq!(cap.pack().unpack(), cap);
        }
    }

    #[test]
    fn the_short_cuts_agree_with_unpacking() {
        let cnode = Cap::CNode { base: PhysAddr(0x4000), radix: 13, guard: 5, guard_size: 51 };
        let place = CNodePlace { base: PhysAddr(0x4000), radix: 13, guard_size: 51, guard: 5 };
        assert_eq!(cnode.pack().as_cnode(), Some(place));
        let space = Cap::VSpace { base: PhysAddr(0x5000), asid: Some(3) };
        assert_eq!(space.pack().as_mapped_vspace(), Some((PhysAddr(0x5000), 3)));
        assert_eq!(Cap::VSpace { base: PhysAddr(0x5000), asid: None }.pack().as_mapped_vspace(), None);
        let frame = |size, device, write| Cap::Frame {
            base: PhysAddr(0x20_0000),
            size,
            device,
            rights: VmRights { read: true, write },
            mapping: Some(Mapping { asid: 9, vaddr: 4096 }),
        };
        let buffer = frame(FrameSize::Large, false, false).pack().as_buffer_frame();
        assert_eq!(buffer, Some((PhysAddr(0x20_0000), 21, false)));
        assert_eq!(frame(FrameSize::Small, true, true).pack().as_buffer_frame(), None);
        assert_eq!(cnode.pack().as_buffer_frame(), None);
        assert!(cnode.pack().as_endpoint().is_none() && cnode.pack().as_notification().is_none());
    }

    #[test]
    fn an_untyped_contains_its_objects() {
        let untyped = Cap::Untyped { base: PhysAddr(0x4000_0000), bits: 14, device: false, free: 0 };
        let inside = Cap::PageTable { base: PhysAddr(0x4000_3000), mapping: None, kind: TableKind::LAST };
        let outside = Cap::PageTable { base: PhysAddr(0x4000_4000), mapping: None, kind: TableKind::LAST };
        assert!(untyped.same_region(&inside));
        assert!(!untyped.same_region(&outside));
        assert!(!inside.same_region(&untyped));
    }
}
