// SPDX-License-Identifier: Apache-2.0
//
// spread gives the packets to an address that several sessions share to their devices in turn, one after the other, as an ISP does for a
// customer with bonded lines. It runs at ingress of one end of a veth pair, to whose other end the address is routed.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define MAX_DEVICES 256 // a power of two

// The devices' indexes, and how many there are.
struct group {
	__u32 count;
	__u32 device[MAX_DEVICES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct group);
} members SEC(".maps");

// How many packets there have been. A map of its own: members is written as a whole.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

SEC("tc")
int spread(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct group *g = bpf_map_lookup_elem(&members, &zero);
	__u64 *packet = bpf_map_lookup_elem(&packets, &zero);
	if (!g || !packet || !g->count)
		return TC_ACT_SHOT;
	__u32 turn = __sync_fetch_and_add(packet, 1) % g->count;
	return bpf_redirect(g->device[turn & (MAX_DEVICES - 1)], 0);
}

char license_name[] SEC("license") = "Apache-2.0";
