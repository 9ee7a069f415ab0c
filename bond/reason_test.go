package bond

import (
	"testing"

	"linebond/line"
)

func TestAbsence(t *testing.T) {
	up := &line.Session{UpSince: epoch}
	lost := line.Reason{Cause: line.EchoLost, Detail: "5 of 5"}
	closed := line.Reason{Cause: line.Operator}
	for want, s := range map[string]line.Status{
		"line is down": {},
		"line is down: disabled by its configuration":      {Reason: line.Reason{Cause: line.Disabled}},
		"line is down: by the operator":                    {Reason: closed, Ended: closed},
		"line is unplugged: no carrier: eth1":              {State: line.Unplugged, Reason: line.Reason{Cause: line.NoCarrier, Detail: "eth1"}, Ended: lost},
		"line is waiting: PADO timeout":                    {State: line.Waiting, Reason: line.Reason{Cause: line.PADOTimeout}, Ended: lost},
		"session lost: echo lost 5 of 5":                   {State: line.Waiting, Reason: lost, Ended: lost},
		"session lost: PADT":                               {State: line.Discovery, Reason: line.Reason{Cause: line.Dialling}, Ended: line.Reason{Cause: line.PeerPADT}},
		"session lost: carrier lost for 2m0s":              {State: line.Establish, Session: &line.Session{}, Ended: line.Reason{Cause: line.CarrierLost, Detail: "for 2m0s"}},
		"session lost: terminated by peer":                 {State: line.Terminate, Session: up, Reason: line.Reason{Cause: line.PeerTerminated}},
		"line closes: configuration changed":               {State: line.Terminate, Session: up, Reason: line.Reason{Cause: line.Reloaded}},
		"line closes: authentication refused: no such man": {State: line.Terminate, Session: &line.Session{}, Reason: line.Reason{Cause: line.AuthRefused, Detail: "no such man"}},
		"line is being dialled":                            {State: line.Discovery, Reason: line.Reason{Cause: line.Dialling}, Ended: closed},
		"held: carrier lost on eth1":                       {State: line.Held, Session: up, Reason: line.Reason{Cause: line.CarrierLost, Detail: "on eth1"}},
		"peer renegotiates":                                {State: line.Authenticate, Session: up, Reason: line.Reason{Cause: line.AuthDemanded}},
	} {
		if got := absence(s); got != want {
			t.Errorf("%v: %q, want %q", s.State, got, want)
		}
	}
}
