package bond

import (
	"fmt"
	"strings"
)

// unequal tells of lines that are in and have MTUs that differ: the bond has the least of them. It tells no more than once of the same ones.
func (b *Bonds) unequal(device string, mtu int, in []slot) []Event {
	differ := false
	each := make([]string, len(in))
	for i, l := range in {
		differ = differ || l.Status.Session.MTU != mtu
		each[i] = fmt.Sprintf("%s %d", l.Config.Name, l.Status.Session.MTU)
	}
	said := strings.Join(each, ", ")
	if !differ || b.mtus[device] == said {
		return nil
	}
	b.mtus[device] = said
	return []Event{{Kind: Warned, Bond: device, Reason: fmt.Sprintf("the lines have different MTUs (%s), and the bond has the least, %d", said, mtu)}}
}
