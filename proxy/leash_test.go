package proxy

import (
	"context"
	"errors"
	"testing"
)

func TestLeashEnds(t *testing.T) {
	var l leash
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
	l.cancel()
	l.cancel()
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
