package config

import (
	"reflect"
	"testing"
)

// Equal decides whether a running backend goes on. A field that it forgot
// would be changed in the file and not in the running one.
func TestEqualComparesEveryField(t *testing.T) {
	var compared int
	var walk func(t *testing.T, name string, field func(*Backend) reflect.Value)
	walk = func(t *testing.T, name string, field func(*Backend) reflect.Value) {
		var b Backend
		v := field(&b)
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				walk(t, name+"."+v.Type().Field(i).Name, func(b *Backend) reflect.Value { return field(b).Field(i) })
			}
			return
		}
		compared++
		change(t, name, v)
		if b.Equal(Backend{}) || (Backend{}).Equal(b) {
			t.Errorf("Equal says that two backends are the same that differ in%s", name)
		}
		if !b.Equal(b) {
			t.Errorf("Equal says that a backend with%s differs from itself", name)
		}
	}
	walk(t, "", func(b *Backend) reflect.Value { return reflect.ValueOf(b).Elem() })
	if compared < 15 {
		t.Errorf("compared %d fields, want all", compared)
	}
}

// change gives a field a value that is not zero.
func change(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"x"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"x": "x"}))
	default:
		t.Fatalf("field%s is a %s, which this test does not know", name, v.Kind())
	}
}
