// SPDX-License-Identifier: Apache-2.0
//
// The session data path of linebond: two programs at clsact or tcx ingress, for kernels of version 6.1 and later.
//
//   up    at the port, the other end of a line's veth pair: an IP packet becomes a PPPoE session frame on the Ethernet device
//   down  at the Ethernet device: an IPv4 or IPv6 packet in a session frame of a line of ours is received by the line's device
//
// All other frames (discovery, LCP, authentication, IPCP, IPv6CP, what is not ours) pass down() untouched. The access concentrator is
// not trusted: nothing is read or stripped that was not measured before.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NEXT -1 // TC_ACT_UNSPEC and TCX_NEXT: the next program has its turn

#define TAG_LEN 4
#define VLAN_ID 0x0fff     // in a tag's control information (IEEE 802.1Q section 9.6)
#define VERSION_TYPE 0x11  // RFC 2516 section 4
#define PPP_IPV4 0x0021    // RFC 1332
#define PPP_IPV6 0x0057    // RFC 5072
#define LONGEST 1500       // bytes of an IP packet (RFC 4638)

// What stands between the Ethernet header, its tags included, and the IP packet (RFC 2516 section 4).
struct pppoe {
	__u8 version_type;
	__u8 code;       // 0 in session frames
	__be16 session;
	__be16 length;   // of what follows: PPP protocol and packet
	__be16 protocol;
};
#define PROTOCOL_LEN sizeof(__be16)                    // that part of a pppoe which its length counts
#define PPPOE_LEN (sizeof(struct pppoe) - PROTOCOL_LEN) // and the part which it does not

// A session is named by the two stations and its id (RFC 2516 section 4); on which device and VLAN is the key's as well.
struct session {
	__u32 ethernet; // the device's index
	__u16 outer;    // VLAN ids; 0: there is no such tag
	__u16 inner;
	__be16 id;
	__u8 ac[ETH_ALEN];
};

// A line is what both programs know of it. Either map has a copy.
struct line {
	__u32 ethernet; // indexes of devices
	__u32 device;
	__u32 port;
	__u32 mtu;      // the longest IP packet that the Ethernet device can take in a session frame
	__u32 receive;  // the MTU of the line's device
	__be16 id;      // of the session
	__be16 tag;     // ethertype of the outermost VLAN tag; 0: the line has no tags
	__u16 vlan;     // its id
	__u8 address[ETH_ALEN]; // of the line's device
	__u8 inner;     // whether there is a second tag
	__u8 head[ETH_HLEN + TAG_LEN]; // destination, source, second tag, ethertype
};

// Counters of a line, by its port's index, and of an Ethernet device, by its own: then only `too_short` counts.
struct counters {
	__u64 rx_packets, rx_bytes; // of IP
	__u64 tx_packets, tx_bytes;
	__u64 tx_not_ip, tx_too_long, tx_failed;
	__u64 bad_header, bad_length, not_ip, too_long, failed;
	__u64 too_short;
};

// No line is ever refused for these: an Ethernet segment has fewer sessions.
#define MAX_LINES 65536

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_LINES);
	__type(key, struct session);
	__type(value, struct line);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_LINES);
	__type(key, __u32);
	__type(value, struct line);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * MAX_LINES);
	__type(key, __u32);
	__type(value, struct counters);
} counts SEC(".maps");

SEC("tc")
int up(struct __sk_buff *skb)
{
	__u32 port = skb->ifindex;
	struct line *line = bpf_map_lookup_elem(&ports, &port);
	struct counters *count = bpf_map_lookup_elem(&counts, &port);
	if (!line || !count)
		return TC_ACT_SHOT; // the line is being made or taken down

	struct pppoe pppoe = {.version_type = VERSION_TYPE, .session = line->id};
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		pppoe.protocol = bpf_htons(PPP_IPV4);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		pppoe.protocol = bpf_htons(PPP_IPV6);
	} else {
		count->tx_not_ip++;
		return TC_ACT_SHOT;
	}
	__u32 length = skb->len - ETH_HLEN;
	if (length > line->mtu) {
		count->tx_too_long++;
		return TC_ACT_SHOT;
	}
	pppoe.length = bpf_htons(PROTOCOL_LEN + length);

	__u32 head_len = ETH_HLEN + (line->inner & 1) * TAG_LEN;
	// A packet whose checksum the sender's hardware was to compute keeps its mark: the bytes that it is of do not change. The outermost
	// tag stays beside the packet until the driver or the hardware writes it; so it does not count against the device's MTU.
	if (bpf_skb_adjust_room(skb, head_len - ETH_HLEN + sizeof(pppoe), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_NO_CSUM_RESET) ||
	    bpf_skb_store_bytes(skb, 0, line->head, head_len, 0) ||
	    bpf_skb_store_bytes(skb, head_len, &pppoe, sizeof(pppoe), 0) ||
	    (line->tag && bpf_skb_vlan_push(skb, line->tag, line->vlan))) {
		count->tx_failed++;
		return TC_ACT_SHOT;
	}
	count->tx_packets++;
	count->tx_bytes += length;
	return bpf_redirect(line->ethernet, 0);
}

// A frame is a received session frame.
struct frame {
	struct ethhdr ethernet; // h_proto is the innermost ethertype
	struct pppoe pppoe;
	struct session session;
	__u32 offset; // of pppoe
	__u32 tags;   // how many VLAN tags it has
};

static __always_inline int is_tag(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

// add_tag takes note of one tag, from the outermost on. It is false for a third one. An id of 0 gives only a priority.
static __always_inline int add_tag(struct frame *f, __u16 id)
{
	if (f->tags++ == 2)
		return 0;
	if (f->session.outer)
		f->session.inner = id;
	else
		f->session.outer = id;
	return 1;
}

// parse reads what stands before the PPP packet. It is 0 for a session frame, 1 for one that is too short, and NEXT for other frames.
// The first tag is usually beside the packet (hardware or the kernel took it out), a second one always in it.
static __always_inline int parse(struct __sk_buff *skb, struct frame *f)
{
	if (bpf_skb_load_bytes(skb, 0, &f->ethernet, sizeof(f->ethernet)))
		return NEXT;
	f->offset = sizeof(f->ethernet);
	if (skb->vlan_present)
		add_tag(f, skb->vlan_tci & VLAN_ID);
	for (int i = 0; i < 2 && is_tag(f->ethernet.h_proto); i++) {
		struct { __be16 control, ethertype; } tag;
		if (bpf_skb_load_bytes(skb, f->offset, &tag, sizeof(tag)) || !add_tag(f, bpf_ntohs(tag.control) & VLAN_ID))
			return NEXT;
		f->ethernet.h_proto = tag.ethertype;
		f->offset += sizeof(tag);
	}
	if (f->ethernet.h_proto != bpf_htons(ETH_P_PPP_SES))
		return NEXT;
	if (f->tags == 2 && !f->session.inner)
		return NEXT; // a tag that gives only a priority, beside another: no line's control frames have that either
	if (bpf_skb_load_bytes(skb, f->offset, &f->pppoe, sizeof(f->pppoe)))
		return 1;
	f->session.ethernet = skb->ifindex;
	f->session.id = f->pppoe.session;
	__builtin_memcpy(f->session.ac, f->ethernet.h_source, ETH_ALEN);
	return 0;
}

// strip leaves the IP packet behind an Ethernet header to the line's device. It is false where the kernel has no memory.
//
// bpf_skb_adjust_room refuses a packet of which the kernel does not know yet that it is IP, and no helper tells it; but what the kernel
// finds behind a tag that it takes out of a packet, it believes. The second push moves the first push's tag into the packet.
static __always_inline int strip(struct __sk_buff *skb, const struct frame *f, const struct line *line, __be16 ethertype)
{
	struct ethhdr head = {.h_proto = ethertype};
	__builtin_memcpy(head.h_dest, line->address, ETH_ALEN);
	__builtin_memcpy(head.h_source, f->ethernet.h_source, ETH_ALEN);

	if ((f->tags > 0 && bpf_skb_vlan_pop(skb)) || (f->tags > 1 && bpf_skb_vlan_pop(skb)))
		return 0;
	// The checksum that hardware may have computed (CHECKSUM_COMPLETE) begins behind these 14 bytes: no BPF_F_RECOMPUTE_CSUM.
	return !bpf_skb_store_bytes(skb, 0, &head, sizeof(head), 0) &&
	       !bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) && !bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) &&
	       !bpf_skb_vlan_pop(skb) && !bpf_skb_vlan_pop(skb) &&
	       !bpf_skb_adjust_room(skb, -(__s32)sizeof(struct pppoe), BPF_ADJ_ROOM_MAC,
				    BPF_F_ADJ_ROOM_NO_CSUM_RESET | BPF_F_ADJ_ROOM_FIXED_GSO);
}

// deliver gives a stripped packet to the line's device: by the port, as a veth pair does, so that the device counts it. That has a limit,
// the device's MTU, which is what the peer can receive and may be less than what it may send: a longer one goes in directly.
static __always_inline int deliver(struct __sk_buff *skb, const struct line *line, __u32 length)
{
	if (length > line->receive && !skb->gso_size)
		return bpf_redirect(line->device, BPF_F_INGRESS);
	return bpf_redirect(line->port, 0);
}

// drop_short counts a frame for its Ethernet device and ends the program.
static __always_inline int drop_short(struct __sk_buff *skb)
{
	__u32 device = skb->ifindex;
	struct counters *count = bpf_map_lookup_elem(&counts, &device);
	if (count)
		count->too_short++;
	return TC_ACT_SHOT;
}

// drop counts a frame for its line and ends the program.
#define drop(count, reason) do { (count)->reason++; return TC_ACT_SHOT; } while (0)

// same compares two Ethernet addresses. (There is no memcmp.)
static __always_inline int same(const __u8 *a, const __u8 *b)
{
	__u8 difference = 0;
	for (int i = 0; i < ETH_ALEN; i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

SEC("tc")
int down(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_PPP_SES) && !is_tag(skb->protocol))
		return NEXT;
	struct frame f = {};
	int verdict = parse(skb, &f);
	if (verdict == NEXT)
		return NEXT;
	if (verdict)
		return drop_short(skb);
	struct line *line = bpf_map_lookup_elem(&sessions, &f.session);
	if (!line)
		return NEXT; // another program may have such a session
	if (!same(f.ethernet.h_dest, line->head + ETH_ALEN))
		return NEXT; // to another host or to many
	__u32 port = line->port;
	struct counters *count = bpf_map_lookup_elem(&counts, &port);
	if (!count)
		return TC_ACT_SHOT; // the line is being made or taken down

	if (f.pppoe.version_type != VERSION_TYPE || f.pppoe.code)
		drop(count, bad_header);
	__u32 end = f.offset + PPPOE_LEN + bpf_ntohs(f.pppoe.length);
	__u32 packet = f.offset + sizeof(f.pppoe);
	if (end < packet || end > skb->len)
		drop(count, bad_length);

	int ipv4 = f.pppoe.protocol == bpf_htons(PPP_IPV4);
	if (!ipv4 && f.pppoe.protocol != bpf_htons(PPP_IPV6))
		return NEXT; // control
	__u32 length = end - packet;
	__u8 version;
	if (length < (ipv4 ? 20 : 40) || bpf_skb_load_bytes(skb, packet, &version, sizeof(version)) || version >> 4 != (ipv4 ? 4 : 6))
		drop(count, not_ip);
	if (length > LONGEST && !skb->gso_size)
		drop(count, too_long);
	if (end < skb->len && bpf_skb_change_tail(skb, end, 0)) // padding
		drop(count, failed);
	if (!strip(skb, &f, line, ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6)))
		drop(count, failed);
	count->rx_packets++;
	count->rx_bytes += length;
	return deliver(skb, line, length);
}

// No helper that is used here is only for programs under the GPL.
char license_name[] SEC("license") = "Apache-2.0";
