//! The first instructions: arm64 Image header, EL2 to EL1, first page tables, MMU.
//!
//! The image runs wherever it was loaded. It is linked at its virtual address; until the MMU is on, only PC-relative addresses
//! are used. The first tables map the image with its final permissions (text read-execute, constants read-only, data
//! read-write), one gigabyte block each around image and device tree (read-write, no execute) in the window, and an identity
//! block (read-execute) that exists until translation is on.
use super::firmware::Entry;
use super::paging;
use core::arch::global_asm;

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    b 0f
    .long 0
    .quad 0                         // text_offset
    .quad __image_size
    .quad 0b1010                    // little endian, 4 KiB pages, anywhere
    .quad 0
    .quad 0
    .quad 0
    .ascii "ARM\x64"
    .long 0

0:  msr daifset, #15
    mov x21, x0                     // device tree
    mrs x9, CurrentEL
    lsr x23, x9, #2                 // the level that we were entered at
    cmp x9, #8
    b.eq 1f
    mrs x20, cntvct_el0
    b 3f

1:  // EL2: everything to EL1, no traps.
    mrs x20, cntpct_el0
    mov x9, #(1 << 31)
    movk x9, #0x0300, lsl #32       // APK, API: pointer authentication does not trap
    msr hcr_el2, x9
    mov x9, #3
    msr cnthctl_el2, x9
    msr cntvoff_el2, xzr
    mov x9, #0x33ff
    msr cptr_el2, x9
    msr hstr_el2, xzr
    msr vttbr_el2, xzr
    mrs x9, midr_el1
    msr vpidr_el2, x9
    mrs x9, mpidr_el1
    msr vmpidr_el2, x9
    mrs x9, id_aa64dfr0_el1
    ubfx x9, x9, #8, #4
    cbz x9, 2f
    cmp x9, #15
    b.eq 2f
    mrs x9, pmcr_el0
    ubfx x9, x9, #11, #5
    msr mdcr_el2, x9
2:  mrs x9, id_aa64pfr0_el1
    ubfx x9, x9, #24, #4
    cbz x9, 4f
    mrs x9, S3_4_C12_C9_5           // ICC_SRE_EL2
    mov x10, #9
    orr x9, x9, x10
    msr S3_4_C12_C9_5, x9
    isb
    msr S3_4_C12_C11_0, xzr         // ICH_HCR_EL2
4:  movz x9, #0x0800
    movk x9, #0x30d0, lsl #16
    msr sctlr_el1, x9
    mov x9, #0x3c5
    msr spsr_el2, x9
    adr x9, 3f
    msr elr_el2, x9
    eret

3:  // Zero what the file does not hold. The caches are off, but may hold old lines of it, which must not come back later: the
    // boot protocol has only the file's bytes cleaned.
    mrs x11, ctr_el0
    ubfx x11, x11, #16, #4
    mov x12, #4
    lsl x11, x12, x11               // smallest data cache line, bytes
    adrp x9, __data_end
    adrp x10, __image_end
9:  dc civac, x9
    add x9, x9, x11
    cmp x9, x10
    b.lo 9b
    dsb sy
    adrp x9, __data_end
    add x9, x9, #:lo12:__data_end
5:  stp xzr, xzr, [x9], #16
    cmp x9, x10
    b.lo 5b

    // Image pages: from `x9` to `x10`, attributes `x11`, into the table at `x12`.
    .macro map_pages
6:  cmp x9, x10
    b.hs 7f
    orr x13, x9, x11
    sub x14, x9, x22
    lsr x14, x14, #9                // page index times 8
    str x13, [x12, x14]
    add x9, x9, #4096
    b 6b
7:
    .endm
    adrp x22, _start                // where the image is
    adrp x12, {image_l3}
    add x12, x12, #:lo12:{image_l3}
    mov x9, x22
    adrp x10, __text_end
    movz x11, #{page_text_lo}
    movk x11, #{page_text_hi}, lsl #48
    map_pages
    adrp x10, __rodata_end
    movz x11, #{page_rodata_lo}
    movk x11, #{page_rodata_hi}, lsl #48
    map_pages
    adrp x10, __image_end
    movz x11, #{page_data_lo}
    movk x11, #{page_data_hi}, lsl #48
    map_pages

    // Tables of the upper half: image at the top, window at the bottom.
    adrp x12, {high_l0}
    add x12, x12, #:lo12:{high_l0}
    adrp x13, {image_l1}
    add x13, x13, #:lo12:{image_l1}
    orr x14, x13, #3
    str x14, [x12, #(511 * 8)]
    adrp x15, {image_l2}
    add x15, x15, #:lo12:{image_l2}
    orr x14, x15, #3
    str x14, [x13, #(510 * 8)]
    adrp x13, {image_l3}
    add x13, x13, #:lo12:{image_l3}
    orr x14, x13, #3
    str x14, [x15]
    adrp x13, {window_l1}
    add x13, x13, #:lo12:{window_l1}
    orr x14, x13, #3
    str x14, [x12]
    movz x11, #{block_data_lo}
    movk x11, #{block_data_hi}, lsl #48
    .macro map_gigabyte address
    lsr x9, \address, #30
    and x9, x9, #511
    lsl x10, x9, #30
    orr x10, x10, x11
    str x10, [x13, x9, lsl #3]
    .endm
    map_gigabyte x22
    map_gigabyte x21
    add x16, x21, #0x200000
    map_gigabyte x16

    // The identity block of the lower half.
    adrp x12, {low_l0}
    add x12, x12, #:lo12:{low_l0}
    adrp x13, {low_l1}
    add x13, x13, #:lo12:{low_l1}
    orr x14, x13, #3
    lsr x9, x22, #39
    str x14, [x12, x9, lsl #3]
    movz x11, #{block_text_lo}
    movk x11, #{block_text_hi}, lsl #48
    lsr x9, x22, #30
    lsl x10, x9, #30
    and x9, x9, #511
    orr x10, x10, x11
    str x10, [x13, x9, lsl #3]
    dsb sy

    movz x9, #0xff00                // MAIR: 0 device, 1 write-back, 2 non-cacheable
    movk x9, #0x0044, lsl #16
    msr mair_el1, x9
    movz x9, #0x3510                // T0SZ 16, inner shareable, write-back walks
    movk x9, #0xb510, lsl #16       // T1SZ 16, the same, 4 KiB
    mrs x10, id_aa64mmfr0_el1
    and x10, x10, #7
    orr x9, x9, x10, lsl #32        // as many physical bits as there are
    orr x9, x9, #(1 << 36)          // 16-bit ASIDs
    msr tcr_el1, x9
    msr ttbr0_el1, x12
    adrp x9, {high_l0}
    add x9, x9, #:lo12:{high_l0}
    msr ttbr1_el1, x9
    ic iallu
    tlbi vmalle1
    dsb sy
    isb
    movz x9, #0xd9dd                // M, C, SA, SA0, CP15BEN, I, DZE, UCT, nTWI, RES1
    movk x9, #0x34d5, lsl #16       // nTWE, UCI, RES1
    msr sctlr_el1, x9
    isb
    ldr x9, =8f
    br x9

8:  // At the linked address now.
    msr ttbr0_el1, xzr
    adrp x9, axiom_vectors
    add x9, x9, #:lo12:axiom_vectors
    msr vbar_el1, x9
    adrp x9, {node}
    add x9, x9, #:lo12:{node}
    msr tpidr_el1, x9
    adrp x9, {stack}
    add x9, x9, #:lo12:{stack}
    add sp, x9, #{stack_size}
    mov x0, x21
    mov x1, x22
    mov x2, x20
    mov x3, x23
    mov x29, xzr
    mov x30, xzr
    b axiom_boot
    .ltorg
    "#,
    image_l1 = sym paging::IMAGE_L1,
    image_l2 = sym paging::IMAGE_L2,
    image_l3 = sym paging::IMAGE_L3,
    high_l0 = sym paging::HIGH_L0,
    window_l1 = sym paging::BOOT_WINDOW_L1,
    low_l0 = sym paging::EMPTY_L0,
    low_l1 = sym paging::IDENTITY_L1,
    page_text_lo = const paging::KERNEL_TEXT & 0xffff,
    page_text_hi = const paging::KERNEL_TEXT >> 48,
    page_rodata_lo = const paging::KERNEL_RODATA & 0xffff,
    page_rodata_hi = const paging::KERNEL_RODATA >> 48,
    page_data_lo = const paging::KERNEL_DATA & 0xffff,
    page_data_hi = const paging::KERNEL_DATA >> 48,
    block_data_lo = const (paging::KERNEL_DATA & 0xffff) & !2,
    block_data_hi = const paging::KERNEL_DATA >> 48,
    block_text_lo = const (paging::KERNEL_TEXT & 0xffff) & !2,
    block_text_hi = const paging::KERNEL_TEXT >> 48,
    node = sym crate::node::NODE,
    stack = sym super::stack::STACK,
    stack_size = const super::stack::GUARD_SIZE + super::stack::STACK_SIZE,
);

#[unsafe(no_mangle)]
extern "C" fn axiom_boot(dtb: u64, image: u64, entry_counter: u64, entry_level: u64) -> ! {
    crate::boot::start(Entry { description: dtb, image, counter: entry_counter, level: entry_level });
    super::trap::leave()
}
