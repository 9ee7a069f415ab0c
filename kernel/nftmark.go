package kernel

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"linebond/netstate"
)

// A rule in the kernel carries its netstate.Rule in its user data, of which the kernel takes 256 bytes. They are type-length-value items of
// a byte, a byte, and that many bytes: nft's comment, which ends with a zero, and our own, which nft passes over.
const (
	userDataSize = 256
	commentItem  = 0
	ruleItem     = 'l'
)

// foreign stands for each rule in our table that is not of our making.
var foreign = netstate.Rule{Comment: "not of linebond"}

// mark is a netstate.Rule in few bytes of JSON.
type mark struct {
	Family      uint8               `json:"f,omitzero"`
	In          string              `json:"i,omitzero"`
	Out         string              `json:"o,omitzero"`
	InDevice    string              `json:"n,omitzero"`
	OutDevice   string              `json:"x,omitzero"`
	Source      netip.Prefix        `json:"s,omitzero"`
	Destination netip.Prefix        `json:"d,omitzero"`
	Connection  netstate.Connection `json:"c,omitzero"`
	Marked      netstate.Mark       `json:"k,omitzero"`
	Protocol    string              `json:"p,omitzero"`
	Ports       netstate.Ports      `json:"r,omitzero"`
	SYN         bool                `json:"y,omitzero"`
	Turns       netstate.Turns      `json:"g,omitzero"`
	Verdict     netstate.Verdict    `json:"v,omitzero"`
	To          netip.Addr          `json:"t,omitzero"`
	ToPort      uint16              `json:"u,omitzero"`
	Mark        netstate.Mark       `json:"m,omitzero"`
	MSS         uint16              `json:"z,omitzero"`
	Comment     string              `json:"-"` // has its own item
}

// userData describes a rule for Observe, and has its comment for nft.
func userData(r netstate.Rule) ([]byte, error) {
	text, err := json.Marshal(mark(r))
	if err != nil {
		return nil, err
	}
	data := append([]byte{ruleItem, byte(len(text))}, text...)
	if r.Comment != "" {
		data = append(data, commentItem, byte(len(r.Comment)+1))
		data = append(append(data, r.Comment...), 0)
	}
	if excess := len(data) - userDataSize; excess > 0 {
		return nil, fmt.Errorf("the rule is %d bytes too long for the kernel: shorten its comment", excess)
	}
	return data, nil
}

// ruleOf reads what userData wrote. Anything else is foreign.
func ruleOf(data []byte) netstate.Rule {
	items := map[byte][]byte{}
	for len(data) >= 2 && len(data) >= 2+int(data[1]) {
		items[data[0]] = data[2 : 2+data[1]]
		data = data[2+int(data[1]):]
	}
	var m mark
	if err := json.Unmarshal(items[ruleItem], &m); err != nil {
		return foreign
	}
	m.Comment = cString(items[commentItem])
	return netstate.Rule(m)
}
