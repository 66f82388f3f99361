package leash

import (
	"context"
	"testing"
)

func TestHook(t *testing.T) {
	for name, ctx := range map[string]func() (context.Context, func()){
		"leash": func() (context.Context, func()) {
			l := new(Leash)
			return l, l.Cancel
		},
		"standard": func() (context.Context, func()) { return context.WithCancel(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			called := make(chan struct{}, 2)
			f := func() { called <- struct{}{} }
			ctx, cancel := ctx()
			var unset, set, late Hook
			unset.Set(ctx, f)
			set.Set(ctx, f)
			for range 2 {
				if !unset.Unset() {
					t.Error("it cannot be unset before the end")
				}
			}
			cancel()
			<-called
			if set.Unset() {
				t.Error("what has been called was unset")
			}
			late.Set(ctx, f)
			<-called
			if late.Unset() {
				t.Error("what is set behind the end is not called")
			}
			select {
			case <-called:
				t.Error("what was unset is called")
			default:
			}
		})
	}
	var never Hook
	never.Set(context.Background(), func() { t.Error("called") })
	if !never.Unset() {
		t.Error("a context that never ends has ended")
	}
}
