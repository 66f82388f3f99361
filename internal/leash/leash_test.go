package leash

import (
	"context"
	"errors"
	"testing"
)

func TestLeashEnds(t *testing.T) {
	var l Leash
	if l.Err() != nil || context.Cause(&l) != nil {
		t.Fatal("it has ended before it was cancelled")
	}
	early := l.Done()
	derived, stop := context.WithCancel(&l)
	defer stop()
	called := make(chan int, 8)
	never := l.AfterFunc(func() { called <- 0 })
	for i := range 4 {
		l.AfterFunc(func() { called <- i + 1 })
	}
	if !never() || never() {
		t.Error("a function is not taken off once")
	}
	l.Cancel()
	l.Cancel()
	<-early
	<-l.Done()
	<-derived.Done()
	late := l.AfterFunc(func() { called <- 5 })
	if late() {
		t.Error("what is being called was taken off")
	}
	sum := 0
	for range 5 {
		sum += <-called
	}
	if sum != 1+2+3+4+5 {
		t.Errorf("functions called add up to %d", sum)
	}
	if !errors.Is(l.Err(), context.Canceled) || !errors.Is(context.Cause(&l), context.Canceled) {
		t.Errorf("error %v, cause %v", l.Err(), context.Cause(&l))
	}
}

// A seat that was left is given to the next, and one that has been called is not
// taken off.
func TestSeats(t *testing.T) {
	var l Leash
	called := make(chan string, 8)
	first := l.Enlist(func() { called <- "first" })
	second := l.Enlist(func() { called <- "second" })
	if !l.Dismiss(first) {
		t.Error("the first could not leave")
	}
	if again := l.Enlist(func() { called <- "third" }); again != first {
		t.Errorf("seat %d is not used again but %d", first, again)
	}
	l.Cancel()
	if l.Dismiss(second) {
		t.Error("what is being called was taken off")
	}
	if got := [2]string{<-called, <-called}; got != [2]string{"second", "third"} && got != [2]string{"third", "second"} {
		t.Errorf("called: %q", got)
	}
	if seat := l.Enlist(func() { called <- "late" }); seat != -1 || <-called != "late" || l.Dismiss(seat) {
		t.Error("a context that has ended gave a seat")
	}
}
