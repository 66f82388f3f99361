package proxy

import "testing"

func TestEvent(t *testing.T) {
	var e event
	early := e.wait()
	select {
	case <-early:
		t.Error("it has happened before it did")
	default:
	}
	if e.happened() {
		t.Error("it says that it has happened")
	}
	e.happen()
	e.happen()
	<-early
	<-e.wait()
	if !e.happened() {
		t.Error("it says that it has not happened")
	}
	var unseen event
	unseen.happen()
	<-unseen.wait()
}
