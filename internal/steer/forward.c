//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What the holder of a virtual address does with packets of connections that it
// does not have: it sends them on to the machine that held the address before.
// It runs at tcx ingress, before the kernel could answer them with a reset.
//
// go generate makes forward.o of this file; see compile.sh.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#define SEC(name) __attribute__((section(name), used))
#define inline __attribute__((always_inline)) inline
#define htons(n) __builtin_bswap16(n) // the object is for little-endian machines

// Types of ICMP errors; <linux/icmp.h> needs a C library.
enum { UNREACHABLE = 3, TIME_EXCEEDED = 11, PARAMETER_PROBLEM = 12 };

// Verdicts of tcx, which older headers lack.
enum { NEXT = -1, DROP = 2, REDIRECT = 7 };

// So many machines see a packet at the most, whatever they believe of each
// other. Ethernet itself counts no hops.
#define MAX_HOPS 8
#define MAX_EXTENSIONS 6

static long (*const bpf_l3_csum_replace)(struct __sk_buff *, __u32, __u64, __u64, __u64) = (void *)BPF_FUNC_l3_csum_replace;
static long (*const bpf_skb_load_bytes)(const struct __sk_buff *, __u32, void *, __u32) = (void *)BPF_FUNC_skb_load_bytes;
static long (*const bpf_skb_store_bytes)(struct __sk_buff *, __u32, const void *, __u32, __u64) = (void *)BPF_FUNC_skb_store_bytes;
static long (*const bpf_clone_redirect)(struct __sk_buff *, __u32, __u64) = (void *)BPF_FUNC_clone_redirect;
static long (*const bpf_redirect)(__u32, __u64) = (void *)BPF_FUNC_redirect;
static struct bpf_sock *(*const bpf_skc_lookup_tcp)(void *, struct bpf_sock_tuple *, __u32, __u64, __u64) = (void *)BPF_FUNC_skc_lookup_tcp;
static long (*const bpf_sk_release)(void *) = (void *)BPF_FUNC_sk_release;
static long (*const bpf_tcp_check_syncookie)(void *, void *, __u32, void *, __u32) = (void *)BPF_FUNC_tcp_check_syncookie;

// Set before the program is loaded.
volatile const __u32 address[4]; // of IPv4 the first
volatile const __u32 version;    // 4 or 6
volatile const __u16 port;       // like address in network order
volatile const __u32 interface;
volatile const __u8 own_mac[ETH_ALEN];
volatile const __u8 to_mac[ETH_ALEN];

__u64 forwarded; // packets that were sent on
__u64 copied;    // packets that were sent on and kept too

// For the test that the object is current.
const char source[] SEC(".steer.source") = SOURCE;
const char compiler[] SEC(".steer.compiler") = COMPILER;

enum kind {
	OTHER,  // none of ours
	FLOW,   // its TCP header says which connection it belongs to
	SHARED, // it does not say
};

struct packet {
	union {
		struct iphdr ip4;
		struct ipv6hdr ip6;
	};
	struct tcphdr tcp;
};

// read_tcp completes a packet whose TCP header is at an offset.
static inline enum kind read_tcp(struct __sk_buff *skb, __u32 at, struct packet *p)
{
	if (bpf_skb_load_bytes(skb, at, &p->tcp, sizeof(p->tcp)) < 0)
		return OTHER;
	return p->tcp.dest == port ? FLOW : OTHER;
}

static inline enum kind read_ip4(struct __sk_buff *skb, struct packet *p)
{
	__u32 at = ETH_HLEN;
	__u8 type;

	if (bpf_skb_load_bytes(skb, at, &p->ip4, sizeof(p->ip4)) < 0)
		return OTHER;
	if (p->ip4.version != 4 || p->ip4.ihl < 5 || p->ip4.daddr != address[0])
		return OTHER;
	at += p->ip4.ihl * 4;
	if (p->ip4.protocol == IPPROTO_TCP) {
		if (p->ip4.frag_off & htons(0x1fff))
			return SHARED; // a later fragment
		return read_tcp(skb, at, p);
	}
	if (p->ip4.protocol != IPPROTO_ICMP || p->ip4.frag_off & htons(0x1fff) || bpf_skb_load_bytes(skb, at, &type, 1) < 0)
		return OTHER;
	// An error, such as a packet that was too big for the path.
	return type == UNREACHABLE || type == TIME_EXCEEDED || type == PARAMETER_PROBLEM ? SHARED : OTHER;
}

static inline enum kind read_ip6(struct __sk_buff *skb, struct packet *p)
{
	struct {
		__u8 next, length;
		__u16 offset; // of a fragment, with flags
	} extension;
	__u32 at = ETH_HLEN;
	__u8 next, type;

	if (bpf_skb_load_bytes(skb, at, &p->ip6, sizeof(p->ip6)) < 0 || p->ip6.version != 6)
		return OTHER;
	for (int i = 0; i < 4; i++)
		if (p->ip6.daddr.in6_u.u6_addr32[i] != address[i])
			return OTHER;
	at += sizeof(p->ip6);
	next = p->ip6.nexthdr;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		switch (next) {
		case IPPROTO_TCP:
			return read_tcp(skb, at, p);
		case IPPROTO_ICMPV6: // errors are below 128
			return bpf_skb_load_bytes(skb, at, &type, 1) == 0 && type < 128 ? SHARED : OTHER;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return OTHER;
		}
		if (bpf_skb_load_bytes(skb, at, &extension, sizeof(extension)) < 0)
			return OTHER;
		if (next != IPPROTO_FRAGMENT)
			at += (extension.length + 1) * 8;
		else if (extension.offset & htons(0xfff8))
			return SHARED; // a later fragment
		else
			at += 8;
		next = extension.next;
	}
	return OTHER;
}

// has_connection reports whether a packet belongs to a connection of this
// machine. One that ends a handshake with a SYN cookie does, though there is
// only the listener yet.
static inline int has_connection(struct __sk_buff *skb, struct packet *p)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	int has;

	if (version == 4) {
		tuple.ipv4.saddr = p->ip4.saddr;
		tuple.ipv4.daddr = p->ip4.daddr;
		tuple.ipv4.sport = p->tcp.source;
		tuple.ipv4.dport = p->tcp.dest;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &p->ip6.saddr, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &p->ip6.daddr, 16);
		tuple.ipv6.sport = p->tcp.source;
		tuple.ipv6.dport = p->tcp.dest;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return 0;
	has = sk->state != BPF_TCP_LISTEN;
	if (!has && version == 4)
		has = bpf_tcp_check_syncookie(sk, &p->ip4, sizeof(p->ip4), &p->tcp, sizeof(p->tcp)) == 0;
	else if (!has)
		has = bpf_tcp_check_syncookie(sk, &p->ip6, sizeof(p->ip6), &p->tcp, sizeof(p->tcp)) == 0;
	bpf_sk_release(sk);
	return has;
}

// count_hop takes a hop off those that a packet has left.
static inline long count_hop(struct __sk_buff *skb, struct packet *p)
{
	__u8 hops = version == 4 ? p->ip4.ttl : p->ip6.hop_limit;
	__u16 before, after;

	if (hops > MAX_HOPS)
		hops = MAX_HOPS;
	hops--;
	if (version != 4)
		return bpf_skb_store_bytes(skb, ETH_HLEN + 7, &hops, 1, BPF_F_RECOMPUTE_CSUM);
	before = p->ip4.ttl | p->ip4.protocol << 8;
	after = hops | p->ip4.protocol << 8;
	if (bpf_l3_csum_replace(skb, ETH_HLEN + 10, before, after, 2) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN + 8, &hops, 1, 0);
}

// may_go reports whether a packet with these MAC addresses may be sent on: not
// to where it comes from, and not for ever.
static inline int may_go(struct packet *p, const __u8 *ether)
{
	int same = 1;

	for (int i = 0; i < ETH_ALEN; i++)
		same &= ether[ETH_ALEN + i] == to_mac[i];
	if (same) // it comes from there
		return 0;
	return (version == 4 ? p->ip4.ttl : p->ip6.hop_limit) > 1;
}

SEC("tcx/ingress")
int forward(struct __sk_buff *skb)
{
	struct packet p = {};
	__u8 before[2 * ETH_ALEN], after[2 * ETH_ALEN];
	enum kind kind = OTHER;

	// A tag is that of another network; 0 is none.
	if (skb->pkt_type != PACKET_HOST || (skb->vlan_present && skb->vlan_tci & 0xfff))
		return NEXT;
	if (version == 4 && skb->protocol == htons(ETH_P_IP))
		kind = read_ip4(skb, &p);
	else if (version == 6 && skb->protocol == htons(ETH_P_IPV6))
		kind = read_ip6(skb, &p);
	if (kind == OTHER)
		return NEXT;
	if (kind == FLOW && ((p.tcp.syn && !p.tcp.ack) || has_connection(skb, &p)))
		return NEXT;
	if (bpf_skb_load_bytes(skb, 0, before, sizeof(before)) < 0 || !may_go(&p, before))
		return NEXT;

	for (int i = 0; i < ETH_ALEN; i++) {
		after[i] = to_mac[i];
		after[ETH_ALEN + i] = own_mac[i];
	}
	// What is lost here is sent again. What the kernel would see is reset.
	if (count_hop(skb, &p) < 0 || bpf_skb_store_bytes(skb, 0, after, sizeof(after), 0) < 0)
		return DROP;
	if (kind == FLOW) {
		__sync_fetch_and_add(&forwarded, 1);
		return bpf_redirect(interface, 0);
	}
	bpf_clone_redirect(skb, interface, 0);
	__sync_fetch_and_add(&copied, 1);
	bpf_skb_store_bytes(skb, 0, before, sizeof(before), 0);
	return NEXT;
}

// One of the functions that this program calls is for programs of such a
// licence only.
const char licence[] SEC("license") = "GPL";
