// SPDX-License-Identifier: Apache-2.0
//
// The scheduler of linebond: two programs at clsact ingress, for kernels of version 6.1 and later.
//
//   choose  at the port, the other end of the bond device's veth pair: gives each IP packet to the line on which it arrives first
//   hear    at each line's device: takes note of when the line has given something back
//
// What is computed, and why, is in model/model.go, line by line: TestAgreement holds the two together.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NEXT -1 // TC_ACT_UNSPEC: the next program has its turn

#define MAX_LINES 16
#define PACE_SHIFT 20
#define STAMP_EVERY 1000000 // ns
#define CELL 53 // ATM cells (ITU-T I.361)
#define PAYLOAD 48

// A test says what time it is, by the packet's time stamp. The verifier knows that this is 0 and leaves the question out.
const volatile __u8 simulated;

// What the daemon says. It is written while packets are looked at: one of them may be judged by half of a change, and still goes to a line
// that was in before it or is in after it.
struct config {
	__u64 cap;        // of the backlog that all lines have, ns
	__u64 dead_after; // ns; 0: no line is ever silent
	__u64 patience;   // ns
	__u64 count;      // places in use
	struct {
		__u32 device;   // index; 0: there is no line in this place
		__u32 epoch;
		__u64 pace;     // ns per byte << PACE_SHIFT
		__u64 delay;    // ns
		__u32 overhead; // bytes
		__u32 cells;    // whether there are any
		char name[16];
	} lines[MAX_LINES];
};

// The line on which a packet arrives first, so far.
struct best {
	__u64 place;  // MAX_LINES: none
	__u64 device; // what stood there: it may not be the same any more
	__u64 wire;   // bytes that it takes
	__u64 done, arrival; // when the packet has left, and when it arrives
	__u64 least;  // the smallest busy of all the lines considered, or now
};

// What only choose() writes, with the lock.
struct state {
	struct bpf_spin_lock lock;
	__u32 unused;
	__u64 latest;
	__u64 packets, late;
	__u64 no_line, not_ip; // dropped
	__u64 unsegmented;
	struct {
		__u64 busy, asked, deep;
		__u64 packets, bytes, wire, passed;
		__u32 epoch;
		__u32 unused;
	} lines[MAX_LINES];
	// Of the packet at hand: of all lines, and of those that are not silent. They are here since the verifier, which would follow each
	// possible course of a choice through the stack, takes what is in a map for unknown.
	volatile struct best any, speaking;
};

// When each line was heard of last, and when it was sent the last echo request but one. The daemon writes here: its echoes, and what
// answers them, need not come to the line's device.
struct stamps {
	__u64 heard[MAX_LINES];
	__u64 echoed[MAX_LINES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state);
} state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stamps);
} stamps SEC(".maps");

static __always_inline void consider(volatile struct best *b, const struct best *offer)
{
	if (offer->arrival < b->arrival) {
		b->place = offer->place;
		b->device = offer->device;
		b->wire = offer->wire;
		b->done = offer->done;
		b->arrival = offer->arrival;
	}
	if (offer->least < b->least)
		b->least = offer->least;
}

// silent says whether line i owes an answer for too long.
static __always_inline int silent(const struct config *c, const struct state *s, const struct stamps *t, __u32 i, __u64 now)
{
	__u64 asked = s->lines[i].asked, deep = s->lines[i].deep;
	__u64 due = asked + c->dead_after;
	if (!c->dead_after || now < due || asked <= t->heard[i])
		return 0;
	return t->echoed[i] >= asked + c->dead_after / 2 && now - due >= (deep > now ? deep - now : 0);
}

// schedule returns the device of the line that is to carry a packet; 0: there is none. The caller has the lock.
static __always_inline __u32 schedule(const struct config *c, struct state *s, const struct stamps *t, __u64 now, __u64 length)
{
	s->any.place = s->speaking.place = MAX_LINES;
	s->any.arrival = s->speaking.arrival = ~0ULL;
	s->any.least = s->speaking.least = ~0ULL;
	for (__u32 i = 0; i < MAX_LINES && i < c->count; i++) {
		struct best offer = {.place = i, .device = c->lines[i].device};
		if (!offer.device)
			continue;
		if (s->lines[i].epoch != c->lines[i].epoch) {
			s->lines[i].epoch = c->lines[i].epoch;
			s->lines[i].busy = now;
			s->lines[i].asked = s->lines[i].deep = 0;
			s->lines[i].packets = s->lines[i].bytes = s->lines[i].wire = s->lines[i].passed = 0;
		}
		offer.least = s->lines[i].busy > now ? s->lines[i].busy : now;
		offer.wire = length + c->lines[i].overhead;
		if (c->lines[i].cells)
			offer.wire = (offer.wire + PAYLOAD - 1) / PAYLOAD * CELL;
		offer.done = offer.least + (offer.wire * c->lines[i].pace >> PACE_SHIFT);
		offer.arrival = offer.done + c->lines[i].delay;
		consider(&s->any, &offer);
		if (!silent(c, s, t, i, now))
			consider(&s->speaking, &offer);
	}
	if (s->any.place == MAX_LINES) {
		s->no_line++;
		return 0;
	}
	const volatile struct best *taken = &s->speaking;
	if (taken->place == MAX_LINES)
		taken = &s->any;
	else if (taken->place != s->any.place)
		s->lines[s->any.place % MAX_LINES].passed++;

	__u64 place = taken->place % MAX_LINES;
	__u64 wire = taken->wire, done = taken->done, arrival = taken->arrival;
	__u64 limit = now + c->cap;
	if (taken->least > limit) {
		__u64 excess = taken->least - limit;
		for (__u32 i = 0; i < MAX_LINES && i < c->count; i++)
			if (s->lines[i].busy > excess)
				s->lines[i].busy -= excess;
		if (s->latest > excess)
			s->latest -= excess;
		done -= excess;
		arrival -= excess;
	}
	s->lines[place].busy = done;
	__u64 took = wire * c->lines[place].pace >> PACE_SHIFT;
	__u64 deep = (s->lines[place].deep > now ? s->lines[place].deep : now) + took - took / 8;
	s->lines[place].deep = deep > now + c->patience ? now + c->patience : deep;
	if (s->lines[place].asked <= t->heard[place])
		s->lines[place].asked = now;
	s->lines[place].packets++;
	s->lines[place].bytes += length;
	s->lines[place].wire += wire;
	s->packets++;
	if (arrival < s->latest)
		s->late++;
	else
		s->latest = arrival;
	return taken->device;
}

SEC("tc")
int choose(struct __sk_buff *skb)
{
	__u32 only = 0;
	struct config *c = bpf_map_lookup_elem(&config, &only);
	struct state *s = bpf_map_lookup_elem(&state, &only);
	struct stamps *t = bpf_map_lookup_elem(&stamps, &only);
	if (!c || !s || !t)
		return TC_ACT_SHOT; // cannot be

	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6)) {
		__sync_fetch_and_add(&s->not_ip, 1);
		return TC_ACT_SHOT;
	}
	if (skb->gso_segs > 1)
		__sync_fetch_and_add(&s->unsegmented, 1);
	__u64 length = skb->len - ETH_HLEN;
	__u64 now = simulated ? skb->tstamp : bpf_ktime_get_ns();
	bpf_spin_lock(&s->lock);
	__u32 device = schedule(c, s, t, now, length);
	bpf_spin_unlock(&s->lock);
	return device ? bpf_redirect(device, 0) : TC_ACT_SHOT;
}

SEC("tc")
int hear(struct __sk_buff *skb)
{
	__u32 only = 0;
	struct config *c = bpf_map_lookup_elem(&config, &only);
	struct stamps *t = bpf_map_lookup_elem(&stamps, &only);
	if (!c || !t)
		return NEXT; // cannot be

	for (__u32 i = 0; i < MAX_LINES && i < c->count; i++)
		if (c->lines[i].device == skb->ifindex) {
			__u64 now = bpf_ktime_get_ns();
			if (now - t->heard[i] > STAMP_EVERY) // another processor may be reading
				t->heard[i] = now;
			break;
		}
	return NEXT;
}

// No helper that is used here is only for programs under the GPL.
char license_name[] SEC("license") = "Apache-2.0";
