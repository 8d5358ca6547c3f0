// peer: the admission webhook that somebody would write in Go with controller-runtime, making the same patch as fks-webhook for
// one profile: namespaces of a list of globs, the same fields. bench-webhook measures fks-webhook beside it. It serves /mutate
// over TLS on 127.0.0.1 with controller-runtime's own server and its usual way of answering: decode the pod, change it, and let
// the library work out the patch from before and after.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	profileLabel  = "eks.amazonaws.com/fargate-profile"
	priorityClass = "system-node-critical"
	priority      = int32(2000001000)
	scheduler     = "fargate-scheduler"
)

type profile struct{ name, namespace string }

type mutator struct {
	decoder  admission.Decoder
	profiles []profile
}

func (m *mutator) find(namespace string) string {
	for _, candidate := range m.profiles {
		if matched, _ := path.Match(candidate.namespace, namespace); matched {
			return candidate.name
		}
	}
	return ""
}

func (m *mutator) Handle(_ context.Context, request admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := m.decoder.Decode(request, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	name := m.find(request.Namespace)
	if name == "" {
		return admission.Allowed("no profile matches")
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[profileLabel] = name
	value := priority
	pod.Spec.SchedulerName = scheduler
	pod.Spec.PriorityClassName = priorityClass
	pod.Spec.Priority = &value
	changed, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, changed)
}

func main() {
	port := flag.Int("port", 9445, "where to serve, on 127.0.0.1")
	cert := flag.String("cert", "tls.crt", "certificate file")
	key := flag.String("key", "tls.key", "key file")
	flag.Parse()
	ctrl.SetLogger(klog.NewKlogr())
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		klog.Fatal(err)
	}
	profiles := []profile{}
	for i := 0; i < 10; i++ {
		profiles = append(profiles, profile{"team", "team-" + string(rune('0'+i)) + "-*"})
	}
	profiles = append(profiles, profile{"fp-default", "default"})
	server := webhook.NewServer(webhook.Options{
		Host: "127.0.0.1", Port: *port, CertDir: filepath.Dir(*cert), CertName: filepath.Base(*cert), KeyName: filepath.Base(*key),
	})
	server.Register("/mutate", &webhook.Admission{Handler: &mutator{decoder: admission.NewDecoder(scheme), profiles: profiles}})
	if err := server.Start(ctrl.SetupSignalHandler()); err != nil {
		klog.Error(err)
		os.Exit(1)
	}
}
