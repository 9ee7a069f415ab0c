package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables/expr"
	nfnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// The connection of google/nftables is not used, only its expressions are: it has each rule sent back, so that a few hundred of them are
// too much for its socket; where the kernel has no nf_tables it waits for ever; and it does not tell which part was refused.

const (
	nftTimeout = 10 * time.Second // against waiting for ever; the kernel answers while the request is being sent
	nftBuffer  = 16 << 20         // bytes: for a table with thousands of rules and the kernel's answer to each
)

// dialNFT connects to the nf_tables of the kernel, if it has any.
func dialNFT() (*nfnetlink.Conn, error) {
	conn, err := nfnetlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	err = errors.Join(conn.SetDeadline(time.Now().Add(nftTimeout)), conn.SetReadBuffer(nftBuffer), conn.SetWriteBuffer(nftBuffer))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// nftMessage is a message about something of the family inet.
func nftMessage(kind int, flags nfnetlink.HeaderFlags, attributes []byte) nfnetlink.Message {
	header := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}
	return nfnetlink.Message{
		Header: nfnetlink.Header{Type: nfnetlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: nfnetlink.Request | flags},
		Data:   append(header, attributes...),
	}
}

// setTable puts a table in the place of ours, or makes it.
func setTable(t netstate.Table) error {
	if err := tooOld(t, release()); err != nil {
		return err
	}
	b := replacement(t)
	if b.err != nil {
		return b.err
	}
	return b.send()
}

// tooOld says which rule of a table a kernel of this release would take and then never apply. A release that cannot be read passes.
func tooOld(t netstate.Table, release string) error {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n < 2 || major > 5 || major == 5 && minor >= 7 {
		return nil
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if c.Hook == "postrouting" && r.In != "" {
				return fmt.Errorf("chain %s, rule `%s`: iifname in a postrouting chain needs Linux 5.7 or later, and this is %s: "+
					"on it the rule would match nothing", c.Name, r, release)
			}
		}
	}
	return nil
}

// deleteTable removes our table; it may be gone already.
func deleteTable() error {
	var b batch
	b.deleteTable()
	if err := b.send(); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// replacement is the one transaction that replaces our table. What does not exist cannot be deleted, so it is made first.
func replacement(t netstate.Table) *batch {
	var b batch
	b.addTable()
	b.deleteTable()
	b.addTable()
	for i, s := range t.Sets {
		b.addSet(s, uint32(i+1))
	}
	for _, c := range t.Chains {
		b.addChain(c)
		for _, r := range c.Rules {
			b.addRule(c, r)
		}
	}
	return &b
}

// batch is a transaction: the kernel does all of it or nothing.
type batch struct {
	parts []part
	err   error // the first one in making it
}

// part is a message of a batch.
type part struct {
	what    string // for people, e.g. chain mss
	needs   string // what the kernel must have for it, e.g. nft_masq (CONFIG_NFT_MASQ)
	message nfnetlink.Message
}

func (b *batch) fail(what string, err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (b *batch) add(kind int, flags nfnetlink.HeaderFlags, what, needs string, encode func(*nfnetlink.AttributeEncoder) error) {
	ae := nfnetlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	ae.String(unix.NFTA_TABLE_NAME, netstate.TableName) // which has the same number in messages about sets, chains and rules
	err := encode(ae)
	attributes, wrong := ae.Encode()
	b.fail(what, errors.Join(err, wrong))
	b.parts = append(b.parts, part{what, needs, nftMessage(kind, flags|nfnetlink.Acknowledge, attributes)})
}

func (b *batch) addTable() {
	b.add(unix.NFT_MSG_NEWTABLE, nfnetlink.Create, "the table", "CONFIG_NF_TABLES_INET", func(ae *nfnetlink.AttributeEncoder) error {
		ae.Uint32(unix.NFTA_TABLE_FLAGS, 0)
		return nil
	})
}

func (b *batch) deleteTable() {
	b.add(unix.NFT_MSG_DELTABLE, 0, "the old table", "", func(*nfnetlink.AttributeEncoder) error { return nil })
}

// What nft(8) needs to know in order to list a set, and the kernel does not: of its datatype.h (TYPE_IFNAME, BYTEORDER_HOST_ENDIAN) and of
// libnftnl's udata.h (NFTNL_UDATA_SET_KEYBYTEORDER).
const (
	typeIfname   = 41
	keyOrderItem = 0
	hostOrder    = 1
)

func (b *batch) addSet(s netstate.DeviceSet, id uint32) {
	what := "set " + s.Name
	b.add(unix.NFT_MSG_NEWSET, nfnetlink.Create, what, "", func(ae *nfnetlink.AttributeEncoder) error {
		ae.String(unix.NFTA_SET_NAME, s.Name)
		ae.Uint32(unix.NFTA_SET_FLAGS, 0)
		ae.Uint32(unix.NFTA_SET_KEY_TYPE, typeIfname)
		ae.Uint32(unix.NFTA_SET_KEY_LEN, unix.IFNAMSIZ)
		ae.Uint32(unix.NFTA_SET_ID, id)
		ae.Bytes(unix.NFTA_SET_USERDATA, binary.NativeEndian.AppendUint32([]byte{keyOrderItem, 4}, hostOrder))
		return nil
	})
	if len(s.Devices) == 0 {
		return
	}
	b.add(unix.NFT_MSG_NEWSETELEM, nfnetlink.Create, what, "", func(ae *nfnetlink.AttributeEncoder) error {
		ae.String(unix.NFTA_SET_ELEM_LIST_SET, s.Name)
		ae.Nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list *nfnetlink.AttributeEncoder) error {
			for _, device := range s.Devices {
				list.Nested(unix.NFTA_LIST_ELEM, func(element *nfnetlink.AttributeEncoder) error {
					element.Nested(unix.NFTA_SET_ELEM_KEY, func(data *nfnetlink.AttributeEncoder) error {
						data.Bytes(unix.NFTA_DATA_VALUE, deviceKey(device))
						return nil
					})
					return nil
				})
			}
			return nil
		})
		return nil
	})
}

// hooks are netstate's names for hooks, at the kernel's numbers.
var hooks = []string{
	unix.NF_INET_PRE_ROUTING: "prerouting", unix.NF_INET_LOCAL_IN: "input", unix.NF_INET_FORWARD: "forward",
	unix.NF_INET_LOCAL_OUT: "output", unix.NF_INET_POST_ROUTING: "postrouting",
}

const policyAccept = 1 // NF_ACCEPT

func (b *batch) addChain(c netstate.Chain) {
	needs := ""
	if c.Type == "nat" {
		needs = "nft_chain_nat (CONFIG_NFT_NAT)"
	}
	b.add(unix.NFT_MSG_NEWCHAIN, nfnetlink.Create, "chain "+c.Name, needs, func(ae *nfnetlink.AttributeEncoder) error {
		hook := slices.Index(hooks, c.Hook)
		if hook < 0 {
			return fmt.Errorf("the hook %q is unknown", c.Hook)
		}
		ae.String(unix.NFTA_CHAIN_NAME, c.Name)
		ae.Nested(unix.NFTA_CHAIN_HOOK, func(at *nfnetlink.AttributeEncoder) error {
			at.Uint32(unix.NFTA_HOOK_HOOKNUM, uint32(hook))
			at.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(int32(c.Priority)))
			return nil
		})
		ae.Uint32(unix.NFTA_CHAIN_POLICY, policyAccept)
		ae.String(unix.NFTA_CHAIN_TYPE, c.Type)
		return nil
	})
}

func (b *batch) addRule(c netstate.Chain, r netstate.Rule) {
	what := fmt.Sprintf("chain %s, rule `%s`", c.Name, r)
	b.add(unix.NFT_MSG_NEWRULE, nfnetlink.Create|nfnetlink.Append, what, ruleNeeds(r), func(ae *nfnetlink.AttributeEncoder) error {
		exprs, err := compile(r)
		if err != nil {
			return err
		}
		data, err := userData(r)
		if err != nil {
			return err
		}
		ae.String(unix.NFTA_RULE_CHAIN, c.Name)
		ae.Nested(unix.NFTA_RULE_EXPRESSIONS, func(list *nfnetlink.AttributeEncoder) error {
			for _, e := range exprs {
				encoded, err := expr.Marshal(unix.NFPROTO_INET, e)
				if err != nil {
					return err
				}
				list.Bytes(unix.NLA_F_NESTED|unix.NFTA_LIST_ELEM, encoded)
			}
			return nil
		})
		ae.Bytes(unix.NFTA_RULE_USERDATA, data)
		return nil
	})
}

// ruleNeeds names the modules of the kernel that a rule needs besides nf_tables.
func ruleNeeds(r netstate.Rule) string {
	needs := ""
	if r.Connection != netstate.AnyConnection || r.Marked.Mask != 0 || r.Verdict == netstate.MarkConnection {
		needs = "nft_ct (CONFIG_NFT_CT)"
	}
	if r.Turns != (netstate.Turns{}) {
		needs = either(needs, "nft_numgen (CONFIG_NFT_NUMGEN)")
	}
	switch r.Verdict {
	case netstate.Masquerade:
		return either(needs, "nft_masq (CONFIG_NFT_MASQ)")
	case netstate.SNAT, netstate.DNAT:
		return either(needs, "nft_nat (CONFIG_NFT_NAT)")
	}
	return needs
}

func either(a, b string) string {
	if a == "" {
		return b
	}
	return a + " or " + b
}

// send carries the batch out. The kernel answers each part, in their order, or the whole with one error.
func (b *batch) send() error {
	conn, err := dialNFT()
	if err != nil {
		return explainTable("", noTables(err))
	}
	defer conn.Close()
	// Without nf_tables the whole batch would get one answer; a simple question tells that apart from an answer to its first part.
	if _, err := findTable(conn); err != nil {
		return explainTable("", err)
	}
	edge := func(kind int) nfnetlink.Message {
		return nfnetlink.Message{
			Header: nfnetlink.Header{Type: nfnetlink.HeaderType(kind), Flags: nfnetlink.Request},
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}, // big-endian
		}
	}
	messages := []nfnetlink.Message{edge(unix.NFNL_MSG_BATCH_BEGIN)}
	for _, p := range b.parts {
		messages = append(messages, p.message)
	}
	if _, err := conn.SendMessages(append(messages, edge(unix.NFNL_MSG_BATCH_END))); err != nil {
		return err
	}
	for _, p := range b.parts {
		if _, err := conn.Receive(); err != nil {
			return fmt.Errorf("%s: %w", p.what, explainTable(p.needs, err))
		}
	}
	return nil
}
