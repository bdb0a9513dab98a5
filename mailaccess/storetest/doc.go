// Package storetest proves that a store keeps the contract of package
// mailaccess, and makes stores that are awkward on purpose.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) storetest.Harness {
//			return storetest.Harness{Store: mystore.New(), Account: "user@example.org"}
//		})
//	}
//
// [Run] has a subtest for every obligation; those that need something the store
// does not offer are skipped with the name of the capability. [Bench] measures
// what front-ends do most. [Wrapper] is for stores that wrap others. [Hostile]
// makes any store as awkward as the contract allows, for tests of whatever
// stands on top of a store.
//
// The package needs nothing but the standard library and package mailaccess.
package storetest
