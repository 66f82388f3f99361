package peer

import (
	"fmt"
	"time"
)

// MaxAnswer is the largest answer to a Call, in bytes.
const MaxAnswer = 64 << 20

// CallTime bounds a Call whose context has no deadline.
const CallTime = 10 * time.Second

// CallError is what a member said against a call.
type CallError struct {
	Status  int // HTTP
	Message string
}

func (e *CallError) Error() string { return fmt.Sprintf("%s (status %d)", e.Message, e.Status) }
