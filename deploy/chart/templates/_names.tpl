{{- /* Names, labels, images and references to secrets. What belongs here: texts that several manifests share. */ -}}

{{- define "plinth.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}

{{- /* (root, component): what a Service or Deployment selects by; it never changes over releases. */ -}}
{{- define "plinth.selector" -}}
app.kubernetes.io/name: plinth
app.kubernetes.io/instance: {{ include "plinth.name" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "plinth.labels" -}}
{{ include "plinth.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{- /* (root, component, role): the role is what network policies go by; runs, whose labels Dagster writes, carry it too. */ -}}
{{- define "plinth.podLabels" -}}
{{ include "plinth.selector" . }}
plinth.io/role: {{ index . 2 }}
{{- end }}

{{- define "plinth.image" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $image := index $root.Values.images $name -}}
{{- if and $root.Values.images.requireDigests (not $image.digest) -}}
{{- fail (printf "images.%s.digest is expected, since images.requireDigests is true: --set images.%s.digest=sha256:…" $name $name) -}}
{{- end -}}
{{- with $root.Values.images.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{- /* The mebibytes of a size in Kubernetes' words or the platform's (Mi, MiB, Gi, GiB); 0 for any other. */ -}}
{{- define "plinth.mebibytes" -}}
{{- $text := toString . | trimSuffix "B" -}}
{{- if hasSuffix "Gi" $text }}{{ mulf (trimSuffix "Gi" $text | float64) 1024 | int }}
{{- else if hasSuffix "Mi" $text }}{{ trimSuffix "Mi" $text | float64 | int }}
{{- else }}0{{ end -}}
{{- end }}

{{- /* {name, secret, key}: a variable whose value only the cluster knows. */ -}}
{{- define "plinth.secretEnv" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end }}
