//! The first instructions: PVH and Multiboot2 entry, first page tables, long mode.
//!
//! Both ways in are the same: 32-bit protected mode without translation, an address in ebx. What eax holds is no answer with PVH, so
//! what was left is looked at later. The image lies where it was linked to be loaded. The first tables map the image with its
//! final permissions (text read-execute, constants read-only, data read-write), the first 4 GiB of physical memory in the window
//! (read-write, no execute), and the 2 MiB around these instructions as they are, until they have jumped.
use super::firmware::Entry;
use super::{paging, stack};
use core::arch::global_asm;

global_asm!(
    r#"
    .set LOAD, 0x80000000         // physical = virtual + this, in 64 bits

    .section .note.Xen, "a", @note
    .balign 4
    .long 4
    .long 4
    .long 18                        // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long axiom_start

    .section .boot.header, "ax"
    .balign 8
1:  .long 0xe85250d6                // Multiboot2, i386
    .long 0
    .long 2f - 1b
    .long 0x100000000 - 0xe85250d6 - (2f - 1b)
    .short 6, 1                     // modules begin at pages
    .long 8
    .short 0, 0
    .long 8
2:

    .section .boot, "ax"
    .code32
    .global axiom_start
axiom_start:
    cli
    cld
    mov edi, eax
    mov esi, ebx
    rdtsc
    mov dword ptr [{entry_counter} + LOAD], eax
    mov dword ptr [{entry_counter} + LOAD + 4], edx

    // Long mode and no-execute, or a sentence.
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    mov ebp, offset axiom_no_long_mode
    jb axiom_stop32
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc axiom_stop32
    mov ebp, offset axiom_no_nx
    bt edx, 20
    jnc axiom_stop32

    // With SMAP, each entry from user space takes back what its flags may allow.
    xor eax, eax
    cpuid
    cmp eax, 7
    jb 3f
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 20
    jnc 3f
    mov word ptr [axiom_clac + LOAD], 0x010f
    mov byte ptr [axiom_clac + LOAD + 2], 0xca
3:
    mov dword ptr [{high_l0} + LOAD + 511 * 8], offset {image_l1} + LOAD + 3
    mov dword ptr [{high_l0} + LOAD + 256 * 8], offset {window_l1} + LOAD + 3
    mov dword ptr [{high_l0} + LOAD], offset {identity_l1} + LOAD + 3
    mov dword ptr [{identity_l1} + LOAD], offset {identity_l2} + LOAD + 3
    mov dword ptr [{identity_l2} + LOAD + 8], 0x200083
    mov dword ptr [{image_l1} + LOAD + 510 * 8], offset {image_l2} + LOAD + 3
    mov dword ptr [{image_l2} + LOAD + 8], offset {image_l3} + LOAD + 3
    mov dword ptr [{image_l2} + LOAD + 256 * 8], offset {device_l3} + LOAD + 3

    // Image pages: from eax to ebx, low half of the entry ecx, high half edx.
    .macro map_pages
4:  cmp eax, ebx
    jae 5f
    mov ebp, eax
    shr ebp, 9
    and ebp, 0xff8
    lea esp, [eax + ecx]
    mov dword ptr [ebp + {image_l3} + LOAD], esp
    mov dword ptr [ebp + {image_l3} + LOAD + 4], edx
    add eax, 4096
    jmp 4b
5:
    .endm
    mov eax, offset __image_start + LOAD
    mov ebx, offset __text_end + LOAD
    mov ecx, {text}
    xor edx, edx
    map_pages
    mov ebx, offset __rodata_end + LOAD
    mov ecx, {rodata}
    mov edx, 0x80000000
    map_pages
    mov ebx, offset __image_end + LOAD
    mov ecx, {data}
    map_pages

    // 4 GiB of the window in pages of 2 MiB.
    mov eax, offset {window_l2} + LOAD + 3
    xor ecx, ecx
6:  mov dword ptr [ecx * 8 + {window_l1} + LOAD], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jb 6b
    mov eax, {large}
    xor ecx, ecx
7:  mov dword ptr [ecx * 8 + {window_l2} + LOAD], eax
    mov dword ptr [ecx * 8 + {window_l2} + LOAD + 4], edx
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jb 7b

    mov eax, 0x20                   // CR4: PAE, and nothing that firmware left
    mov cr4, eax
    mov eax, offset {high_l0} + LOAD
    mov cr3, eax
    mov ecx, 0xc0000080             // EFER: SCE, LME, NXE
    mov eax, 0x901
    xor edx, edx
    wrmsr
    mov eax, 0x80010033             // CR0: PG, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [axiom_boot_gdt]
    .byte 0xea                      // far jump
    .long axiom_start64
    .short 8

    // A line on COM1: ebp is the text.
axiom_stop32:
    mov dx, 0x3fd
8:  in al, dx
    test al, 0x20
    jz 8b
    mov dx, 0x3f8
    mov al, byte ptr [ebp]
    test al, al
    jz 9f
    out dx, al
    inc ebp
    jmp axiom_stop32
9:  hlt
    jmp 9b
axiom_no_long_mode:
    .asciz "\r\naxiom: boot stopped: the processor has no 64-bit mode\r\n"
axiom_no_nx:
    .asciz "\r\naxiom: boot stopped: the processor has no no-execute pages (NX), without which nothing is kept from running\r\n"

    .balign 8
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
axiom_boot_gdt:
    .short 23
    .long axiom_boot_gdt - 24

    .code64
axiom_start64:
    movabs rax, offset axiom_start_high
    jmp rax

    .section .text.start, "ax"
axiom_start_high:                   // At the linked address now.
    mov eax, 0x10
    mov ss, eax
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    lea rsp, [rip + {stack} + {stack_size} - 8]
    mov dword ptr [rsp], 0
    mov dword ptr [rsp + 4], 0
    xor ebp, ebp
    mov edi, edi
    mov esi, esi
    mov rdx, qword ptr [rip + {entry_counter}]
    jmp axiom_boot
    "#,
    entry_counter = sym ENTRY_COUNTER,
    high_l0 = sym paging::HIGH_L0,
    image_l1 = sym paging::IMAGE_L1,
    image_l2 = sym paging::IMAGE_L2,
    image_l3 = sym paging::IMAGE_L3,
    device_l3 = sym paging::DEVICE_L3,
    window_l1 = sym paging::BOOT_WINDOW_L1,
    window_l2 = sym paging::BOOT_WINDOW_L2,
    identity_l1 = sym paging::IDENTITY_L1,
    identity_l2 = sym paging::IDENTITY_L2,
    text = const paging::KERNEL_TEXT as u32,
    rodata = const paging::KERNEL_RODATA as u32,
    data = const paging::KERNEL_DATA as u32,
    large = const (paging::KERNEL_DATA | axiom_objects::arch::paging::LARGE) as u32,
    stack = sym stack::STACK,
    stack_size = const stack::GUARD_SIZE + stack::STACK_SIZE,
);

/// The counter at the first instructions.
static ENTRY_COUNTER: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

unsafe extern "C" {
    static __image_start: u8;
}

#[unsafe(no_mangle)]
extern "C" fn axiom_boot(eax: u64, info: u64, entry_counter: u64) -> ! {
    super::trap::init();
    super::cpu::init(super::trap::syscall_entry());
    super::fpu::init();
    let image = (&raw const __image_start as u64).wrapping_sub(paging::IMAGE_OFFSET);
    crate::boot::start(Entry { eax: eax as u32, description: info, image, counter: entry_counter, level: 0 });
    super::trap::leave()
}
