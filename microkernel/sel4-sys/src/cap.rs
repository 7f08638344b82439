//! Capability pointers, rights, badges and the well-known capabilities of a root task.
use crate::Word;

/// A capability pointer: an address in a thread's capability space, resolved by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct CPtr(pub Word);

impl CPtr {
    /// The null capability's slot.
    pub const NULL: CPtr = CPtr(0);
}

/// The badge that a sender's capability carries (64 bits on this architecture).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Badge(pub Word);

/// Rights of a capability: bit 0 write, 1 read, 2 grant, 3 grant-reply (libsel4 `seL4_CapRights`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct CapRights(pub Word);

impl CapRights {
    /// No rights.
    pub const NONE: CapRights = CapRights(0);
    /// Write (send).
    pub const WRITE: CapRights = CapRights(1);
    /// Read (receive).
    pub const READ: CapRights = CapRights(2);
    /// Read and write.
    pub const READ_WRITE: CapRights = CapRights(3);
    /// Transfer of any capability.
    pub const GRANT: CapRights = CapRights(4);
    /// Transfer of a reply capability only.
    pub const GRANT_REPLY: CapRights = CapRights(8);
    /// All four.
    pub const ALL: CapRights = CapRights(15);

    /// Whether all rights in `other` are present.
    pub const fn contains(self, other: CapRights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of rights.
    pub const fn union(self, other: CapRights) -> CapRights {
        CapRights(self.0 | other.0)
    }
}

/// The guard of a CNode capability (libsel4 `seL4_CNode_CapData`): guard in bits 63..6, its size in bits 5..0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct CNodeCapData(pub Word);

impl CNodeCapData {
    /// A guard of `size` bits with the value `guard`.
    pub const fn new(guard: Word, size: Word) -> CNodeCapData {
        CNodeCapData(guard << 6 | (size & 63))
    }
    /// The guard's value.
    pub const fn guard(self) -> Word {
        self.0 >> 6
    }
    /// The guard's size in bits.
    pub const fn guard_size(self) -> Word {
        self.0 & 63
    }
}

/// The initial capabilities' slots in the root task's CNode (libsel4 `seL4_RootCNodeCapSlots`).
pub mod init {
    use super::CPtr;
    /// The root task's TCB.
    pub const TCB: CPtr = CPtr(1);
    /// The root task's CNode.
    pub const CNODE: CPtr = CPtr(2);
    /// The root task's VSpace.
    pub const VSPACE: CPtr = CPtr(3);
    /// IRQControl.
    pub const IRQ_CONTROL: CPtr = CPtr(4);
    /// ASIDControl.
    pub const ASID_CONTROL: CPtr = CPtr(5);
    /// The root task's ASID pool.
    pub const ASID_POOL: CPtr = CPtr(6);
    /// I/O port control (x86; null on aarch64).
    pub const IO_PORT_CONTROL: CPtr = CPtr(7);
    /// I/O space (null: no IOMMU).
    pub const IO_SPACE: CPtr = CPtr(8);
    /// The BootInfo frame.
    pub const BOOT_INFO: CPtr = CPtr(9);
    /// The root task's IPC buffer frame.
    pub const IPC_BUFFER: CPtr = CPtr(10);
    /// The domain capability.
    pub const DOMAIN: CPtr = CPtr(11);
    /// SMMU stream id control (null).
    pub const SMMU_SID: CPtr = CPtr(12);
    /// SMMU context bank control (null).
    pub const SMMU_CB: CPtr = CPtr(13);
    /// The root task's scheduling context.
    pub const SCHED_CONTEXT: CPtr = CPtr(14);
    /// Secure monitor calls (null).
    pub const SMC: CPtr = CPtr(15);
    /// The first slot after the initial capabilities.
    pub const COUNT: u64 = 16;
}
