package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	nfnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// errNoTables is that the kernel cannot have our table.
var errNoTables = errors.New("the kernel has no nf_tables")

// noTables tells it from other errors. A kernel without nf_tables says EINVAL to a simple question, and one without nfnetlink has no such
// socket at all.
func noTables(err error) error {
	for _, answer := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT} {
		if errors.Is(err, answer) {
			return fmt.Errorf("%w (%w)", errNoTables, err)
		}
	}
	return err
}

// observeTable returns our nftables table; nil when there is none. What others have put into it makes it differ from every table that can
// be wanted: a Rule that is foreign, a chain or set with its own name, a chain with a word too many in its type.
func observeTable() (*netstate.Table, error) {
	tables, err := dump(func() ([]netstate.Table, error) {
		conn, err := dialNFT()
		if err != nil {
			return nil, noTables(err)
		}
		defer conn.Close()
		return readTable(conn)
	})
	if err != nil || len(tables) == 0 {
		return nil, err
	}
	return &tables[0], nil
}

// readTable returns our table or none. Its parts are asked for one by one: netlink.ErrDumpInterrupted says that it has changed meanwhile.
func readTable(conn *nfnetlink.Conn) ([]netstate.Table, error) {
	flags, err := findTable(conn)
	switch {
	case err != nil:
		return nil, err
	case flags == nil:
		return nil, nil
	case *flags&unix.NFT_TABLE_F_DORMANT != 0:
		return []netstate.Table{{}}, nil // it does nothing
	}
	var t netstate.Table
	if t.Sets, err = readSets(conn); err != nil {
		return nil, fmt.Errorf("its sets: %w", err)
	}
	if t.Chains, err = readChains(conn); err != nil {
		return nil, fmt.Errorf("its chains: %w", err)
	}
	if err := readRules(conn, t.Chains); err != nil {
		return nil, fmt.Errorf("its rules: %w", err)
	}
	return []netstate.Table{t}, nil
}

// findTable returns the flags of our table; nil when there is no such table.
func findTable(conn *nfnetlink.Conn) (*uint32, error) {
	name, err := nfnetlink.MarshalAttributes([]nfnetlink.Attribute{{Type: unix.NFTA_TABLE_NAME, Data: []byte(netstate.TableName + "\x00")}})
	if err != nil {
		return nil, err
	}
	messages, err := conn.Execute(nftMessage(unix.NFT_MSG_GETTABLE, 0, name))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, noTables(err)
	}
	var flags uint32
	for _, m := range messages {
		err = eachAttribute(m.Data[nftHeaderSize:], func(ad *nfnetlink.AttributeDecoder) {
			if ad.Type() == unix.NFTA_TABLE_FLAGS {
				flags = ad.Uint32()
			}
		})
	}
	return &flags, err
}

const nftHeaderSize = 4 // struct nfgenmsg

// listNFT asks for the things of a kind in our table, and calls a function with the attributes of each answer, by their types. Set is the
// one whose elements are asked for.
func listNFT(conn *nfnetlink.Conn, kind int, set string, item func(map[uint16][]byte) error) error {
	question := []nfnetlink.Attribute{{Type: unix.NFTA_TABLE_NAME, Data: []byte(netstate.TableName + "\x00")}}
	if set != "" {
		question = append(question, nfnetlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: []byte(set + "\x00")})
	}
	encoded, err := nfnetlink.MarshalAttributes(question)
	if err != nil {
		return err
	}
	messages, err := conn.Execute(nftMessage(kind, nfnetlink.Dump, encoded))
	if errors.Is(err, unix.ENOENT) {
		return netlink.ErrDumpInterrupted
	}
	if err != nil {
		return err
	}
	for _, m := range messages {
		if m.Header.Flags&nfnetlink.DumpInterrupted != 0 {
			return netlink.ErrDumpInterrupted
		}
		attributes := map[uint16][]byte{}
		err := eachAttribute(m.Data[nftHeaderSize:], func(ad *nfnetlink.AttributeDecoder) { attributes[ad.Type()] = ad.Bytes() })
		if err == nil && cString(attributes[unix.NFTA_TABLE_NAME]) == netstate.TableName { // chains are listed of all tables
			err = item(attributes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readSets(conn *nfnetlink.Conn) ([]netstate.DeviceSet, error) {
	var sets []netstate.DeviceSet
	err := listNFT(conn, unix.NFT_MSG_GETSET, "", func(a map[uint16][]byte) error {
		sets = append(sets, netstate.DeviceSet{Name: cString(a[unix.NFTA_SET_NAME])})
		return nil
	})
	for i := range sets {
		if err == nil {
			sets[i].Devices, err = readElements(conn, sets[i].Name)
		}
	}
	return sets, err
}

// readElements returns the elements of a set as the names that those of ours are.
func readElements(conn *nfnetlink.Conn, set string) ([]string, error) {
	var names []string
	err := listNFT(conn, unix.NFT_MSG_GETSETELEM, set, func(a map[uint16][]byte) error {
		return eachAttribute(a[unix.NFTA_SET_ELEM_LIST_ELEMENTS], func(list *nfnetlink.AttributeDecoder) {
			list.Nested(func(element *nfnetlink.AttributeDecoder) error {
				for element.Next() {
					if element.Type() == unix.NFTA_SET_ELEM_KEY {
						element.Nested(func(data *nfnetlink.AttributeDecoder) error {
							for data.Next() {
								names = append(names, cString(data.Bytes()))
							}
							return nil
						})
					}
				}
				return nil
			})
		})
	})
	return names, err
}

func readChains(conn *nfnetlink.Conn) ([]netstate.Chain, error) {
	var chains []netstate.Chain
	err := listNFT(conn, unix.NFT_MSG_GETCHAIN, "", func(a map[uint16][]byte) error {
		c := netstate.Chain{Name: cString(a[unix.NFTA_CHAIN_NAME]), Type: cString(a[unix.NFTA_CHAIN_TYPE])}
		if policy := a[unix.NFTA_CHAIN_POLICY]; len(policy) == 4 && binary.BigEndian.Uint32(policy) != policyAccept {
			c.Type += " policy drop"
		}
		err := eachAttribute(a[unix.NFTA_CHAIN_HOOK], func(ad *nfnetlink.AttributeDecoder) {
			switch ad.Type() {
			case unix.NFTA_HOOK_HOOKNUM:
				if n := ad.Uint32(); int(n) < len(hooks) {
					c.Hook = hooks[n]
				}
			case unix.NFTA_HOOK_PRIORITY:
				c.Priority = int(int32(ad.Uint32()))
			}
		})
		chains = append(chains, c)
		return err
	})
	return chains, err
}

// readRules gives each chain its rules.
func readRules(conn *nfnetlink.Conn, chains []netstate.Chain) error {
	index := map[string]int{}
	for i, c := range chains {
		index[c.Name] = i
	}
	return listNFT(conn, unix.NFT_MSG_GETRULE, "", func(a map[uint16][]byte) error {
		i, known := index[cString(a[unix.NFTA_RULE_CHAIN])]
		if !known {
			return netlink.ErrDumpInterrupted
		}
		chains[i].Rules = append(chains[i].Rules, ruleOf(a[unix.NFTA_RULE_USERDATA]))
		return nil
	})
}

// eachAttribute decodes attributes, whose numbers are big-endian.
func eachAttribute(data []byte, each func(*nfnetlink.AttributeDecoder)) error {
	ad, err := nfnetlink.NewAttributeDecoder(data)
	if err != nil {
		return err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		each(ad)
	}
	return ad.Err()
}

// cString is the text in front of the first zero.
func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
