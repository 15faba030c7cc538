import { createHmac, timingSafeEqual } from 'node:crypto';

import type {
	IDataObject,
	IHookFunctions,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';
import { NodeConnectionTypes } from 'n8n-workflow';

/** How far a message's time may be from ours, either way, in seconds. */
const APART = 300;

/** Whether a message is signed (Standard Webhooks 1.0) with the subscription's secret, and fresh. */
export function authentic(
	headers: IDataObject,
	body: Buffer,
	secret: string,
	now: number,
): boolean {
	const [id, stamp, given] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(
		(name) => headers[name],
	);
	if (typeof id !== 'string' || typeof stamp !== 'string' || typeof given !== 'string') return false;
	if (!/^[0-9]{1,12}$/.test(stamp) || Math.abs(now - Number(stamp)) > APART) return false;
	const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
	if (key.length === 0) return false;
	const made = createHmac('sha256', key).update(`${id}.${stamp}.`).update(body).digest('base64');
	const wanted = Buffer.from(`v1,${made}`);
	return given.split(' ').some((one) => {
		const other = Buffer.from(one);
		return other.length === wanted.length && timingSafeEqual(other, wanted);
	});
}

/** Starts a workflow when an alert opens, is over, climbs its ladder, or is corrected. */
export class WatchtowerTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Watchtower Trigger',
		name: 'watchtowerTrigger',
		icon: 'file:watchtower.svg',
		group: ['trigger'],
		version: 1,
		subtitle: '={{$parameter["events"].join(", ")}}',
		description: 'Starts the workflow when an alert of Watchtower opens, is over, or is escalated',
		defaults: { name: 'Watchtower Trigger' },
		inputs: [],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'watchtowerApi', required: true }],
		webhooks: [{ name: 'default', httpMethod: 'POST', responseMode: 'onReceived', path: 'webhook' }],
		properties: [
			{
				displayName: 'Events',
				name: 'events',
				type: 'multiOptions',
				options: [
					{ name: 'Alert Corrected', value: 'alert.corrected' },
					{ name: 'Alert Escalated', value: 'alert.escalated' },
					{ name: 'Alert Opened', value: 'alert.opened' },
					{ name: 'Alert Reopened', value: 'alert.reopened' },
					{ name: 'Alert Resolved', value: 'alert.resolved' },
				],
				default: ['alert.opened'],
				required: true,
			},
			{
				displayName: 'Queues',
				name: 'queues',
				type: 'string',
				default: '',
				placeholder: 'attention-needed, customer-risk',
				description: 'Only of these queues, separated by commas. Empty: of all.',
			},
			{
				displayName: 'Severities',
				name: 'severities',
				type: 'multiOptions',
				options: [
					{ name: 'Critical', value: 'critical' },
					{ name: 'High', value: 'high' },
					{ name: 'Low', value: 'low' },
					{ name: 'Medium', value: 'medium' },
				],
				default: [],
				description: 'Only of these severities. None: of all.',
			},
		],
	};

	webhookMethods = {
		default: {
			async checkExists(this: IHookFunctions): Promise<boolean> {
				const kept = this.getWorkflowStaticData('node');
				if (typeof kept.id !== 'string' || typeof kept.secret !== 'string') return false;
				const there = (await call.call(this, 'GET', '/subscriptions')) as IDataObject[];
				const url = this.getNodeWebhookUrl('default');
				return there.some((one) => one.id === kept.id && one.url === url);
			},
			async create(this: IHookFunctions): Promise<boolean> {
				const queues = (this.getNodeParameter('queues', '') as string).split(',');
				const made = (await call.call(this, 'POST', '/subscriptions', {
					url: this.getNodeWebhookUrl('default'),
					queues: queues.map((name) => name.trim()).filter((name) => name !== ''),
					severities: this.getNodeParameter('severities', []) as string[],
				})) as IDataObject;
				const kept = this.getWorkflowStaticData('node');
				kept.id = made.id;
				kept.secret = made.secret;
				return true;
			},
			async delete(this: IHookFunctions): Promise<boolean> {
				const kept = this.getWorkflowStaticData('node');
				if (typeof kept.id === 'string') {
					try {
						await call.call(this, 'DELETE', `/subscriptions/${encodeURIComponent(kept.id)}`);
					} catch (error) {
						// It is over already, which is what is wanted; anything else is told.
						if (!/404/.test(String((error as IDataObject).httpCode ?? error))) throw error;
					}
				}
				delete kept.id;
				delete kept.secret;
				return true;
			},
		},
	};

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const request = this.getRequestObject() as unknown as { rawBody?: Buffer };
		const kept = this.getWorkflowStaticData('node');
		const body = this.getBodyData();
		const raw = request.rawBody ?? Buffer.from(JSON.stringify(body));
		const headers = this.getHeaderData() as IDataObject;
		const now = Math.floor(Date.now() / 1000);
		if (typeof kept.secret !== 'string' || !authentic(headers, raw, kept.secret, now)) {
			this.getResponseObject().status(401).json({ status: 401, detail: 'refused' });
			return { noWebhookResponse: true };
		}
		const wanted = this.getNodeParameter('events', []) as string[];
		if (!wanted.includes(String(body.type))) return { webhookResponse: 'not wanted' };
		// The same message always has the same webhook-id: what must happen once can be known by it.
		const item = { ...body, webhookId: headers['webhook-id'] } as IDataObject;
		return { workflowData: [this.helpers.returnJsonArray(item)] };
	}
}

async function call(
	this: IHookFunctions,
	method: 'GET' | 'POST' | 'DELETE',
	path: string,
	body?: IDataObject,
): Promise<unknown> {
	const { baseUrl } = await this.getCredentials<{ baseUrl: string }>('watchtowerApi');
	return await this.helpers.httpRequestWithAuthentication.call(this, 'watchtowerApi', {
		method,
		url: `${baseUrl.replace(/\/+$/, '')}${path}`,
		body,
		json: true,
	});
}
