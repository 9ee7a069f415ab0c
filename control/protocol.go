package control

import (
	"errors"
	"fmt"
	"time"
)

// Request is what a client sends.
type Request struct {
	Verb Verb   `json:"verb"`
	Line string `json:"line,omitempty"` // its name, with Up, Down and Redial
}

// Verb is what may be asked of the daemon.
type Verb string

// The verbs.
const (
	Report Verb = "status" // answered by a Status
	Up     Verb = "up"
	Down   Verb = "down"
	Redial Verb = "redial"
	Reload Verb = "reload" // read the configuration again
)

// Answer is what comes back: without an Error all is well.
type Answer struct {
	Status   *Status  `json:"status,omitempty"`
	Error    string   `json:"error,omitempty"`
	NoLine   bool     `json:"no_line,omitempty"`  // the error is ErrNoLine
	Problems []string `json:"problems,omitempty"` // the error is a ConfigError
}

// ErrNoLine says that no line has the name given.
var ErrNoLine = errors.New("there is no line of that name")

// ConfigError holds the problems of a configuration that was not taken.
type ConfigError struct{ Problems []string }

func (e *ConfigError) Error() string {
	if len(e.Problems) == 1 {
		return "the configuration has a mistake; nothing was changed"
	}
	return fmt.Sprintf("the configuration has %d mistakes; nothing was changed", len(e.Problems))
}

// answer puts an error, or none, into an Answer; err takes it out again.
func answer(err error) Answer {
	if err == nil {
		return Answer{}
	}
	a := Answer{Error: err.Error(), NoLine: errors.Is(err, ErrNoLine)}
	var bad *ConfigError
	if errors.As(err, &bad) {
		a.Problems = bad.Problems
	}
	return a
}

func (a Answer) err() error {
	switch {
	case a.NoLine:
		return ErrNoLine
	case len(a.Problems) > 0:
		return &ConfigError{a.Problems}
	case a.Error != "":
		return errors.New(a.Error)
	}
	return nil
}

const (
	// patience is how long an exchange may take, at either end.
	patience = 10 * time.Second
	// acceptPause is the pause after a client could not be accepted.
	acceptPause = 100 * time.Millisecond
	// maxExchanges bounds how many exchanges there are at a time, and with
	// them the descriptors that clients can use up.
	maxExchanges = 64
	// maxRequest is how long a request may be, in bytes.
	maxRequest = 4 << 10
	// maxPath is how long a unix socket's path may be, in bytes (unix(7)).
	maxPath = 107
)
