{{- /* What every pod has in common: user, file system, place, volumes. */ -}}

{{- define "plinth.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.pod.user }}
runAsGroup: {{ .Values.pod.group }}
fsGroup: {{ .Values.pod.group }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "plinth.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* (root, more node selector, more tolerations) */ -}}
{{- define "plinth.place" -}}
{{- $root := index . 0 -}}
enableServiceLinks: false
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets: {{- range . }}{{ printf "\n- name: %s" . }}{{ end }}
{{- end }}
{{- with merge (dict) (index . 1) $root.Values.pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (index . 2) $root.Values.pod.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- /* Variables of every process of Dagster; of runs the launcher sets the home itself. */ -}}
{{- define "plinth.dagsterEnv" -}}
- {name: DAGSTER_HOME, value: /opt/dagster}
{{ include "plinth.runEnv" . }}
{{- end }}

{{- define "plinth.runEnv" -}}
- {name: DAGSTER_TELEMETRY_DISABLED, value: "1"}
- {name: DO_NOT_TRACK, value: "1"}
- {name: PLINTH_PLATFORM, value: /etc/plinth/platform.yaml}
{{ include "plinth.secretEnv" (dict "name" "PLINTH_INSTANCE_URL" "secret" .Values.secrets.instance.name "key" .Values.secrets.instance.key) }}
{{- end }}

{{- define "plinth.onlineEnv" -}}
{{ include "plinth.secretEnv" (dict "name" "PLINTH_ONLINE_URL" "secret" .Values.secrets.online.name "key" .Values.secrets.online.key) }}
{{- end }}

{{- /* (root, key of the instance's ConfigMap, ConfigMap of the overlay): mounts, and the volumes that they name. */ -}}
{{- define "plinth.dagsterMounts" -}}
- {name: instance, mountPath: /opt/dagster/dagster.yaml, subPath: dagster.yaml, readOnly: true}
- {name: dagster, mountPath: /opt/dagster}
- {name: overlay, mountPath: /etc/plinth, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "plinth.dagsterVolumes" -}}
{{- $root := index . 0 -}}
- name: instance
  configMap:
    name: {{ include "plinth.name" $root }}-instance
    items: [{key: {{ index . 1 }}, path: dagster.yaml}]
- {name: dagster, emptyDir: {sizeLimit: 1Gi}}
- {name: overlay, configMap: {name: {{ index . 2 }}}}
- {name: tmp, emptyDir: {sizeLimit: 5Gi}}
{{- end }}

{{- define "plinth.dataVolume" -}}
{{- if eq .Values.data.kind "claim" -}}
{name: data, persistentVolumeClaim: {claimName: {{ .Values.data.existingClaim | default (printf "%s-data" (include "plinth.name" .)) }}}}
{{- else -}}
{name: data, emptyDir: {sizeLimit: {{ .Values.data.scratchSize }}}}
{{- end -}}
{{- end }}

{{- /* Whether data/ is a volume that one node has at a time: whoever mounts it stands where the others stand, or waits for it for ever. */ -}}
{{- define "plinth.oneNode" -}}
{{- if and (eq .Values.data.kind "claim") (not (has "ReadWriteMany" .Values.data.accessModes)) -}}true{{- end -}}
{{- end }}

{{- define "plinth.besideData" -}}
requiredDuringSchedulingIgnoredDuringExecution:
  - labelSelector: {matchLabels: {plinth.io/data: {{ include "plinth.name" . }}}}
    topologyKey: kubernetes.io/hostname
{{- end }}

{{- /* Every location with its defaults. */ -}}
{{- define "plinth.locations" -}}
{{- $root := . -}}
{{- range $name, $each := .Values.locations }}
{{ $name }}: {{ merge (deepCopy $each) (deepCopy $root.Values.locationDefaults) | toJson }}
{{- end }}
{{- end }}

{{- /* The name of a location's manifests. */ -}}
{{- define "plinth.location" -}}{{ include "plinth.name" (index . 0) }}-location-{{ index . 1 }}{{- end }}
