//! The names of Linux's helpers, and what to do in place of those that are not here: for sentences.

/// The name of a helper of Linux (without `bpf_`), whether it is here or not.
pub fn linux_name(id: u32) -> Option<&'static str> {
    (id != 0).then(|| NAMES.get(id as usize).copied())?
}

/// What to do in place of a helper of Linux that is not here.
pub fn instead(id: u32) -> &'static str {
    match linux_name(id).unwrap_or("") {
        "spin_lock" | "spin_unlock" => {
            "leave it out: a program has its maps to itself while it runs, and single numbers can be changed with __sync_fetch_and_add"
        }
        "tail_call" => "call a __noinline function, or attach several programs to the same point",
        "loop" | "for_each_map_elem" | "user_ringbuf_drain" => "write a for loop with a constant maximum",
        "timer_init" | "timer_set_callback" | "timer_start" | "timer_cancel" => {
            "put that code into a program of its own at SEC(\"timer/<n>hz\")"
        }
        "ktime_get_boot_ns" | "ktime_get_coarse_ns" | "ktime_get_tai_ns" | "jiffies64" => {
            "use bpf_ktime_get_ns"
        }
        "get_prandom_u32" => "keep the state of a generator in a map and seed it from bpf_ktime_get_ns",
        "perf_event_output" | "perf_event_read" | "perf_event_read_value" => {
            "use a ring buffer: bpf_ringbuf_reserve, bpf_ringbuf_submit, bpf_ringbuf_output"
        }
        "ringbuf_reserve_dynptr"
        | "ringbuf_submit_dynptr"
        | "ringbuf_discard_dynptr"
        | "dynptr_from_mem"
        | "dynptr_read"
        | "dynptr_write"
        | "dynptr_data" => {
            "reserve a constant number of bytes with bpf_ringbuf_reserve, or copy with bpf_ringbuf_output"
        }
        "probe_read"
        | "probe_read_kernel"
        | "probe_read_user"
        | "probe_read_str"
        | "probe_read_kernel_str"
        | "probe_read_user_str"
        | "copy_from_user" => "read the members of the context directly",
        "map_lookup_percpu_elem" => "use bpf_map_lookup_elem: this system has one CPU",
        "get_numa_node_id"
        | "get_current_pid_tgid"
        | "get_current_uid_gid"
        | "get_current_comm"
        | "get_current_task"
        | "get_current_task_btf" => "leave it out: programs run on events, not for a process",
        "snprintf" | "seq_printf" | "seq_write" => {
            "use bpf_printk, or send the numbers through a ring buffer"
        }
        "strtol" | "strtoul" | "strncmp" => "write a for loop over the bytes with a constant maximum",
        _ => {
            "helpers of Linux that need its kernel do not exist here; docs/src/program-reference.md lists those that do"
        }
    }
}

const NAMES: &[&str] = &[
    "unspec",
    "map_lookup_elem",
    "map_update_elem",
    "map_delete_elem",
    "probe_read",
    "ktime_get_ns",
    "trace_printk",
    "get_prandom_u32",
    "get_smp_processor_id",
    "skb_store_bytes",
    "l3_csum_replace",
    "l4_csum_replace",
    "tail_call",
    "clone_redirect",
    "get_current_pid_tgid",
    "get_current_uid_gid",
    "get_current_comm",
    "get_cgroup_classid",
    "skb_vlan_push",
    "skb_vlan_pop",
    "skb_get_tunnel_key",
    "skb_set_tunnel_key",
    "perf_event_read",
    "redirect",
    "get_route_realm",
    "perf_event_output",
    "skb_load_bytes",
    "get_stackid",
    "csum_diff",
    "skb_get_tunnel_opt",
    "skb_set_tunnel_opt",
    "skb_change_proto",
    "skb_change_type",
    "skb_under_cgroup",
    "get_hash_recalc",
    "get_current_task",
    "probe_write_user",
    "current_task_under_cgroup",
    "skb_change_tail",
    "skb_pull_data",
    "csum_update",
    "set_hash_invalid",
    "get_numa_node_id",
    "skb_change_head",
    "xdp_adjust_head",
    "probe_read_str",
    "get_socket_cookie",
    "get_socket_uid",
    "set_hash",
    "setsockopt",
    "skb_adjust_room",
    "redirect_map",
    "sk_redirect_map",
    "sock_map_update",
    "xdp_adjust_meta",
    "perf_event_read_value",
    "perf_prog_read_value",
    "getsockopt",
    "override_return",
    "sock_ops_cb_flags_set",
    "msg_redirect_map",
    "msg_apply_bytes",
    "msg_cork_bytes",
    "msg_pull_data",
    "bind",
    "xdp_adjust_tail",
    "skb_get_xfrm_state",
    "get_stack",
    "skb_load_bytes_relative",
    "fib_lookup",
    "sock_hash_update",
    "msg_redirect_hash",
    "sk_redirect_hash",
    "lwt_push_encap",
    "lwt_seg6_store_bytes",
    "lwt_seg6_adjust_srh",
    "lwt_seg6_action",
    "rc_repeat",
    "rc_keydown",
    "skb_cgroup_id",
    "get_current_cgroup_id",
    "get_local_storage",
    "sk_select_reuseport",
    "skb_ancestor_cgroup_id",
    "sk_lookup_tcp",
    "sk_lookup_udp",
    "sk_release",
    "map_push_elem",
    "map_pop_elem",
    "map_peek_elem",
    "msg_push_data",
    "msg_pop_data",
    "rc_pointer_rel",
    "spin_lock",
    "spin_unlock",
    "sk_fullsock",
    "tcp_sock",
    "skb_ecn_set_ce",
    "get_listener_sock",
    "skc_lookup_tcp",
    "tcp_check_syncookie",
    "sysctl_get_name",
    "sysctl_get_current_value",
    "sysctl_get_new_value",
    "sysctl_set_new_value",
    "strtol",
    "strtoul",
    "sk_storage_get",
    "sk_storage_delete",
    "send_signal",
    "tcp_gen_syncookie",
    "skb_output",
    "probe_read_user",
    "probe_read_kernel",
    "probe_read_user_str",
    "probe_read_kernel_str",
    "tcp_send_ack",
    "send_signal_thread",
    "jiffies64",
    "read_branch_records",
    "get_ns_current_pid_tgid",
    "xdp_output",
    "get_netns_cookie",
    "get_current_ancestor_cgroup_id",
    "sk_assign",
    "ktime_get_boot_ns",
    "seq_printf",
    "seq_write",
    "sk_cgroup_id",
    "sk_ancestor_cgroup_id",
    "ringbuf_output",
    "ringbuf_reserve",
    "ringbuf_submit",
    "ringbuf_discard",
    "ringbuf_query",
    "csum_level",
    "skc_to_tcp6_sock",
    "skc_to_tcp_sock",
    "skc_to_tcp_timewait_sock",
    "skc_to_tcp_request_sock",
    "skc_to_udp6_sock",
    "get_task_stack",
    "load_hdr_opt",
    "store_hdr_opt",
    "reserve_hdr_opt",
    "inode_storage_get",
    "inode_storage_delete",
    "d_path",
    "copy_from_user",
    "snprintf_btf",
    "seq_printf_btf",
    "skb_cgroup_classid",
    "redirect_neigh",
    "per_cpu_ptr",
    "this_cpu_ptr",
    "redirect_peer",
    "task_storage_get",
    "task_storage_delete",
    "get_current_task_btf",
    "bprm_opts_set",
    "ktime_get_coarse_ns",
    "ima_inode_hash",
    "sock_from_file",
    "check_mtu",
    "for_each_map_elem",
    "snprintf",
    "sys_bpf",
    "btf_find_by_name_kind",
    "sys_close",
    "timer_init",
    "timer_set_callback",
    "timer_start",
    "timer_cancel",
    "get_func_ip",
    "get_attach_cookie",
    "task_pt_regs",
    "get_branch_snapshot",
    "trace_vprintk",
    "skc_to_unix_sock",
    "kallsyms_lookup_name",
    "find_vma",
    "loop",
    "strncmp",
    "get_func_arg",
    "get_func_ret",
    "get_func_arg_cnt",
    "get_retval",
    "set_retval",
    "xdp_get_buff_len",
    "xdp_load_bytes",
    "xdp_store_bytes",
    "copy_from_user_task",
    "skb_set_tstamp",
    "ima_file_hash",
    "kptr_xchg",
    "map_lookup_percpu_elem",
    "skc_to_mptcp_sock",
    "dynptr_from_mem",
    "ringbuf_reserve_dynptr",
    "ringbuf_submit_dynptr",
    "ringbuf_discard_dynptr",
    "dynptr_read",
    "dynptr_write",
    "dynptr_data",
    "tcp_raw_gen_syncookie_ipv4",
    "tcp_raw_gen_syncookie_ipv6",
    "tcp_raw_check_syncookie_ipv4",
    "tcp_raw_check_syncookie_ipv6",
    "ktime_get_tai_ns",
    "user_ringbuf_drain",
    "cgrp_storage_get",
    "cgrp_storage_delete",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::HELPERS;

    #[test]
    fn names_are_at_linuxs_numbers() {
        for p in HELPERS.iter().filter(|p| p.id < crate::helper::OWN_FIRST) {
            assert_eq!(linux_name(p.id), Some(p.name));
        }
        assert_eq!(
            (linux_name(181), linux_name(93), linux_name(12)),
            (Some("loop"), Some("spin_lock"), Some("tail_call"))
        );
        assert_eq!((linux_name(0), linux_name(5000)), (None, None));
        assert!(instead(181).contains("for loop") && instead(198).contains("bpf_ringbuf_reserve"));
    }
}
