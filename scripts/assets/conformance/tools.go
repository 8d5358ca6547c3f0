//go:build tools

// Names the packages that scripts/conformance builds, so that go.sum pins them. Nothing of this is part of FKS.
package tools

import (
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
	_ "k8s.io/sample-apiserver"
)
