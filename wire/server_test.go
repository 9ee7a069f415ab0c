package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"linebond/ppp"
	"linebond/pppoe"
)

// startServer runs Debian's pppoe-server on ac0, with a pppd for each session, until the test ends.
func startServer(t *testing.T) {
	t.Helper()
	options := t.TempDir() + "/options"
	must(t, os.WriteFile("/etc/ppp/options", nil, 0o600)) // without it pppd does not start
	must(t, os.WriteFile(options, []byte("noauth\nnoccp\n"), 0o600))
	server := exec.Command("pppoe-server", "-F", "-I", farDevice, "-C", "lab", "-O", options)
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, server.Start())
	t.Cleanup(func() {
		syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
		server.Wait()
	})
}

// exchange sends a discovery packet until the answer with this code comes: the server may not be listening yet.
func exchange(t *testing.T, d *Discovery, dst net.HardwareAddr, payload []byte, code byte) pppoe.Frame {
	t.Helper()
	for range 100 {
		must(t, d.Send(dst, payload))
		if f, ok := within(100*time.Millisecond, d.Frames()); ok && f.Payload[1] == code {
			return f
		}
	}
	t.Fatalf("no answer with code %#x", code)
	panic("unreachable")
}

// cookie is the AC-Cookie tag of a PADO, with its header.
func cookie(t *testing.T, pado []byte) []byte {
	t.Helper()
	for tags := pado[6 : 6+binary.BigEndian.Uint16(pado[4:6])]; len(tags) >= 4; {
		length := 4 + binary.BigEndian.Uint16(tags[2:4])
		if bytes.HasPrefix(tags, []byte{0x01, 0x04}) {
			return tags[:length]
		}
		tags = tags[length:]
	}
	t.Fatal("the PADO has no AC-Cookie")
	return nil
}

// A whole session with software that is not ours: PADI to PADS, an LCP Configure-Request from pppd, our Ack, our Terminate-Request and its
// Ack, and in the end the server's PADT.
func TestSessionWithServer(t *testing.T) {
	newPair(t, 1500)
	startServer(t)
	d := openDiscovery(t, lineDevice, 0)
	early, err := OpenEarly(lineDevice)
	must(t, err)
	defer early.Close()

	pado := exchange(t, d, broadcast, discovery(0x09, 0, ""), codePADO)
	padr := append(discovery(0x19, 0, ""), cookie(t, pado.Payload)...)
	binary.BigEndian.PutUint16(padr[4:6], uint16(len(padr)-sessionHeader))
	pads := exchange(t, d, pado.Src, padr, codePADS)
	id := binary.BigEndian.Uint16(pads.Payload[2:4])
	s := openTestSession(t, SessionConfig{Device: lineDevice, AC: pads.Src, ID: id, Early: early})
	must(t, s.CreateUnit("ppp-a"))

	receive := func(code ppp.Code) ppp.Packet {
		t.Helper()
		for {
			f := next(t, s.Frames())
			p, err := ppp.Parse(f.Payload)
			must(t, err)
			if f.Protocol == ppp.LCP && p.Code == code {
				return p
			}
		}
	}
	request := receive(ppp.ConfigureRequest)
	must(t, s.Send(ppp.LCP, ppp.Packet{Code: ppp.ConfigureAck, ID: request.ID, Data: request.Data}.Append(nil)))
	must(t, s.Send(ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: 7}.Append(nil)))
	if ack := receive(ppp.ConfigureAck); ack.ID != 7 {
		t.Errorf("the server acknowledges request %d, want 7", ack.ID)
	}
	if f := nextOf(t, s, ppp.IPCP); len(f.Payload) < ppp.HeaderLen { // LCP is open on the server's side; this comes by the unit
		t.Errorf("IPCP packet of %d bytes", len(f.Payload))
	}
	must(t, s.Send(ppp.LCP, ppp.Packet{Code: ppp.TerminateRequest, ID: 8}.Append(nil)))
	receive(ppp.TerminateAck)
	waitClosed(t, s.Frames()) // by the PADT
	for f := next(t, d.Frames()); f.Payload[1] != codePADT; f = next(t, d.Frames()) {
	}
}

func nextOf(t *testing.T, s *Session, protocol ppp.Protocol) ppp.Frame {
	t.Helper()
	for {
		if f := next(t, s.Frames()); f.Protocol == protocol {
			return f
		}
	}
}
