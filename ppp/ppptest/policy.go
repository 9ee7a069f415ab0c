package ppptest

import (
	"errors"
	"fmt"
	"slices"

	"linebond/ppp"
)

// Judge hands a policy the options in b, if they parse, and returns what is
// wrong with its answer: a Reject must return options of the request bit for
// bit, a Nak must name some (RFC 1661 sections 5.2 to 5.4).
func Judge(p ppp.Policy, b []byte) error {
	opts, err := ppp.ParseOptions(b)
	if err != nil {
		return nil
	}
	code, reply := p.Judge(opts)
	switch code {
	case ppp.ConfigureAck:
		if len(reply) > 0 {
			return fmt.Errorf("an Ack with options of its own: %v", reply)
		}
		return nil
	case ppp.ConfigureReject:
		for _, o := range reply {
			if !slices.ContainsFunc(opts, o.Equal) {
				return fmt.Errorf("rejected %v, which is not in the request", o)
			}
		}
	case ppp.ConfigureNak:
	default:
		return fmt.Errorf("answered with %v", code)
	}
	if len(reply) == 0 {
		return fmt.Errorf("%v of nothing", code)
	}
	return nil
}

// Refuse hands a policy the options in b as a Nak, a Reject, and another Nak,
// and returns what is wrong with its next request: it must be well-formed, and
// leave out what was rejected (RFC 1661 section 5.4).
func Refuse(p ppp.Policy, b []byte) error {
	opts, err := ppp.ParseOptions(b)
	if err != nil {
		return nil
	}
	p.Nak(opts)
	p.Reject(opts)
	p.Nak(opts)
	request := p.Request(nil)
	for _, o := range request {
		if slices.ContainsFunc(opts, func(r ppp.Option) bool { return r.Type == o.Type }) {
			return fmt.Errorf("asks for %v, which was rejected", o)
		}
	}
	again, err := ppp.ParseOptions(ppp.AppendOptions(nil, request...))
	if err == nil && !slices.EqualFunc(request, again, ppp.Option.Equal) {
		err = errors.New("does not come back as it was")
	}
	if err != nil {
		return fmt.Errorf("asks for %v: %w", request, err)
	}
	return nil
}
